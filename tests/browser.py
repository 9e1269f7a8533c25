"""A headless Chromium for the tests of pages, and signing in with it."""

import os
import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

CHROMIUM = "/usr/bin/chromium"
SUBMIT = re.compile(r"/judge/[0-9a-f]{16}/$")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: while Playwright lives, its event loop runs in this thread.

    No other loop can run there meanwhile, and Django takes every query for one from async code.
    """
    if not shutil.which(CHROMIUM):
        if os.environ.get("CI") == "true":
            pytest.fail(
                f"There is no {CHROMIUM}, and CI must run the browser tests. On Debian: apt-get install chromium"
            )
        pytest.skip(f"There is no {CHROMIUM} to look at pages with.")
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def visit(browser: Browser, server: str, user: User, **options: object) -> BrowserContext:
    """Return a browser window of its own in which this person is signed in."""
    client = Client()
    client.force_login(user)
    window = browser.new_context(base_url=server, **options)
    window.set_default_timeout(5_000)
    window.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server}])
    return window


def start_judging(page: Page) -> None:
    """Open the judge page for the first time, the guidelines read."""
    page.goto("/p/plain/judge/")
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("button", name="Start judging").click()


def intercept(page: Page, url: str | re.Pattern[str], handler: Callable[[Route], object], **options: object) -> None:
    """Let the handler answer what the page asks of an address from now on.

    `page.route` returns once the browser knows of it, which tells the page's own process later: what is asked at once
    can pass by the handler. So this waits until a request of the page has met one.
    """
    page.route(url, handler, **options)
    page.route("**/intercepted", lambda route: route.fulfill(body="yes"))
    page.wait_for_function("async () => await (await fetch('/intercepted')).text() === 'yes'")
