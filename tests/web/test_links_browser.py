"""A link in what people or models wrote opens after a question that says where it goes."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Revision
from tests.browser import PHONE, start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LINKS = """
[plain](https://a.example/path?q=1) [user](https://google.com@evil.example/x)
[letters](https://аpple.example/%E2%80%AEgpj) [mail](mailto:a@b.example) [**port** $x$](http://c.example:8080/)
[turned](https://d.example/\u202egpj.exe)
"""


@pytest.fixture
def open_page(live_server, browser, bob, project, add_prompts, sampled):
    """Return a function that opens Bob's judge page, with links in both answers; nothing else can be reached."""
    (prompt,) = add_prompts("Where?")
    sampled({prompt: [LINKS, f"{LINKS} again"]})
    windows = []

    def open_it(**options) -> Page:
        window = visit(browser, live_server.url, bob, **options)
        window.route(re.compile(r"\.example"), lambda route: route.fulfill(body="there", content_type="text/html"))
        windows.append(window)
        page = window.new_page()
        start_judging(page)
        return page

    yield open_it
    for window in windows:
        window.close()


def link(page: Page, name: str):
    return page.locator("#a1 .md a").filter(has_text=re.compile(f"^{name}"))


def test_it_works(open_page):
    page = open_page()
    link(page, "plain").click()
    dialog = page.get_by_role("dialog", name="Go to a.example?")
    expect(dialog.locator(".address")).to_have_text("https://a.example/path?q=1")
    expect(dialog.locator("b")).to_have_text("a.example")
    with page.expect_popup() as popup:
        dialog.get_by_role("link", name="Open in a new tab").click()
    expect(popup.value).to_have_url("https://a.example/path?q=1")
    assert popup.value.evaluate("window.opener") is None
    assert popup.value.evaluate("document.referrer") == ""
    expect(dialog).to_be_hidden()
    assert page.url.endswith("/p/plain/judge/")


@pytest.mark.parametrize(
    ("name", "host", "address"),
    [
        ("user", "evil.example", "https://google.com@evil.example/x"),
        ("letters", "xn--pple-43d.example", "https://xn--pple-43d.example/%E2%80%AEgpj"),
        ("turned", "d.example", "https://d.example/%E2%80%AEgpj.exe"),
        ("port", "c.example:8080", "http://c.example:8080/"),
        ("mail", "", "mailto:a@b.example"),
    ],
)
def test_it_says_where_a_link_goes(open_page, name, host, address):
    page = open_page()
    link(page, name).click()
    expect(page.locator(".leaving .address")).to_have_text(address)
    assert page.locator(".leaving b").text_content() == host


def test_by_keys(open_page):
    page = open_page()
    link(page, "plain").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Stay here")).to_be_focused()
    page.keyboard.press("1")  # the page's keys sleep
    page.mouse.click(5, 5)
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(link(page, "plain")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # stays
    expect(dialog).to_have_count(0)
    assert len(page.context.pages) == 1
    assert not Revision.objects.exists()


@pytest.mark.parametrize("options", [{"button": "middle"}, {"modifiers": ["Control"]}, {"modifiers": ["Shift"]}])
def test_no_way_of_clicking_goes_past_the_question(open_page, options):
    page = open_page()
    link(page, "plain").click(**options)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(200)
    assert len(page.context.pages) == 1


def test_on_a_phone(open_page):
    page = open_page(**PHONE)
    link(page, "plain").tap()
    page.get_by_role("button", name="Stay here").tap()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_a_link_opens_a_tab_that_knows_nothing_of_this_one(open_page):
    page = open_page(java_script_enabled=False)
    with page.expect_popup() as popup:
        link(page, "plain").click()
    expect(popup.value).to_have_url("https://a.example/path?q=1")
    assert page.url.endswith("/p/plain/judge/")
