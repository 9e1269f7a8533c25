"""Each page and each state of the judge page: axe-core finds nothing in it, and nothing reaches out of it sideways.

A new address fails this test until it has its line in the list, as in test_access.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.urls import resolve
from playwright.sync_api import Page, expect

from annotate.masks import mask
from tests.browser import SUBMIT, intercept, visit
from tests.filled import fill
from tests.web.test_access import TABLE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = Path(__file__).parent.parent / "vendor" / "axe-core" / "axe.min.js"
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# Parts of pages, and files.
NO_PAGES = {"upcoming", "prompt_imports", "numbers_json", "download_dataset"}


def as_it_is(page: Page) -> None:
    """Look at the page as it comes."""


@dataclass
class Look:
    """A page as somebody sees it, after they have done something there."""

    who: str  # of tests.filled, or "" for nobody
    address: str
    do: Callable[[Page], None] = as_it_is
    state: str = ""
    status: int = 200


def keys(*pressed: str) -> Callable[[Page], None]:
    def press(page: Page) -> None:
        for key in pressed:
            page.keyboard.press(key)
        page.wait_for_timeout(50)

    return press


def click(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name).first.click()


def not_sent(page: Page) -> None:
    intercept(page, SUBMIT, lambda route: route.abort())
    page.keyboard.press("1")
    expect(page.locator("#unsent")).to_be_visible()


def which_two(page: Page) -> None:
    page.keyboard.press("d")
    expect(page.locator("#which")).to_be_visible()


def editing(page: Page) -> None:
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(page.locator(".editor textarea")).to_be_focused()


def judge(slug: str) -> str:
    return f"/p/{slug}/judge/"


JUDGING = [
    Look("bob", judge("two")),
    Look("bob", judge("two"), keys("?"), "keys"),
    Look("bob", judge("two"), keys("g"), "guidelines"),
    Look("bob", judge("two"), keys("p"), "paused"),
    Look("bob", judge("two"), keys("f", "Enter"), "flagging"),
    Look("bob", judge("two"), click("You: bob"), "you"),
    Look("bob", judge("two"), keys("a"), "apart"),
    Look("bob", judge("asks")),
    Look("bob", judge("asks"), keys("1"), "second question"),
    Look("bob", judge("asks"), keys("1", "2"), "third question"),
    Look("bob", judge("asks"), keys("e"), "which to edit"),
    Look("bob", judge("asks"), editing, "editing"),
    Look("bob", judge("hard")),
    Look("bob", judge("hard"), keys("d"), "differences"),
    Look("bob", judge("hard"), keys("r", "c"), "plain text, earlier messages"),
    Look("bob", judge("hard"), lambda page: page.locator(".answer .md a").first.click(), "link"),
    Look("bob", judge("arabic")),
    Look("bob", judge("three")),
    Look("bob", judge("four")),
    Look("bob", judge("five")),
    Look("bob", judge("five"), keys("2"), "second question"),
    Look("bob", judge("five"), which_two, "which two"),
    Look("bob", judge("eight")),
    Look("bob", judge("rank")),
    Look("bob", judge("rank"), keys("2", "1", "=", "4"), "half ranked"),
    Look("bob", judge("rank-eight"), keys("8", "1", "=", "4", "3", "5", "7", "6", "2"), "ranked"),
    Look("bob", judge("nothing-yet"), state="nothing yet"),
    Look("bob", judge("done"), state="done"),
    Look("bob", judge("warned"), state="content warning"),
    Look("dora", judge("full"), state="a receipt"),
    Look("dora", "/p/full/judge/mine/"),
    Look("bob", "/p/nothing-yet/judge/mine/", state="nothing yet"),
    Look("dora", "/p/full/judge/{comparison_masked}/again/"),
    Look("dora", "/p/full/judge/{flagged_masked}/again/", state="flagged"),
    Look("dora", "/p/full/judge/{comparison_masked}/edit/1/"),
    Look("dora", "/p/full/guidelines/"),
    Look("bob", judge("two"), not_sent, "not sent"),  # the last one: it waits in this browser's storage
]
PAGES = [
    Look("", "/sign-in/"),
    Look("", "/join/{token}/"),
    Look("", "/join/1.forged/", state="closed", status=404),
    Look("", "/join/{token}/", click("Make the account and join"), "nothing filled in"),
    Look("olga", "/"),
    Look("bob", "/", state="annotator"),
    Look("bob", "/password/"),
    Look("bob", "/p/full/leave/"),
    Look("olga", "/projects/new/"),
    Look("olga", "/people/"),
    Look("olga", "/people/{person}/deactivate/"),
    Look("olga", "/policies/register/"),
    *[
        Look("alice", f"/p/{slug}/{page}", state=slug)
        for slug in ("full", "nothing-yet")
        for page in (
            *("", "prompts/", "people/", "settings/", "sampling/", "policies/", "review/", "numbers/"),
            *("rounds/", "rounds/launch/", "evaluation/", "datasets/", "datasets/freeze/"),
        )
    ],
    Look("alice", "/p/full/sampling/{job}/"),
    Look("alice", "/p/full/review/{comparison}/", state="settled"),
    Look("alice", "/p/full/review/{hard}/"),
    Look("alice", "/p/full/review/gold/"),
    Look("alice", "/p/practised/review/gold/", state="with practice"),
    Look("bob", "/p/practised/practice/"),
    Look("dora", "/p/practised/practice/{practised_masked}/said/"),
    Look("dora", "/p/practised/practice/", state="done"),
    Look("bob", "/p/nothing-yet/practice/", state="none"),
    Look("alice", "/p/full/rounds/{round}/"),
    Look("alice", "/p/full/rounds/2/", state="failed"),
    Look("alice", "/p/compared/evaluation/", state="with a ranking"),
    Look("alice", "/p/compared/evaluation/{contest}/"),
    Look("alice", "/p/compared/evaluation/{under_way}/", click("Stop it"), "to be stopped"),
    Look("bob", "/p/full/review/", state="refused", status=403),
    Look("bob", "/p/no-such-project/", state="not there", status=404),
]


def test_every_page_is_looked_at():
    masked = dict.fromkeys(("comparison_masked", "flagged_masked", "practised_masked"), mask(1))
    named = ("comparison", "contest", "hard", "job", "person", "round", "under_way")
    numbers = dict.fromkeys(named, 1) | masked | {"token": "1.x"}
    seen = {resolve(look.address.format(**numbers)).url_name for look in JUDGING + PAGES}
    assert {name for name, row in TABLE if row.post is None} - NO_PAGES <= seen


@pytest.fixture
def windows(live_server, browser):
    """A filled site, and a window of each person who looks at it; that of nobody is called ""."""
    site = fill()
    opened = {name: visit(browser, live_server.url, getattr(site, name)) for name in ("olga", "alice", "bob", "dora")}
    opened[""] = browser.new_context(base_url=live_server.url)
    for window in opened.values():
        window.add_init_script(path=AXE)
        window.set_default_navigation_timeout(30_000)  # the first page of numbers brings statistics libraries
    yield site, opened
    for window in opened.values():
        window.close()


@pytest.mark.parametrize("looks", [JUDGING, PAGES], ids=["judging", "pages"])
def test_nothing_is_found(windows, looks):
    site, people = windows
    found = []
    for look in looks:
        page = people[look.who].new_page()
        response = page.goto(look.address.format(**site.numbers))
        assert response.status == look.status, look.address
        found += [f"{look.address} {look.state} {fault}" for fault in faults(page, look.do)]
        page.close()
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("name", ["400.html", "403_csrf.html", "500.html"])
def test_nothing_is_found_where_something_went_wrong(live_server, windows, name):
    page = windows[1][""].new_page()
    html = render_to_string(name, {"reason": "why", "user": None})
    page.route("**/wrong/", lambda route: route.fulfill(body=html, status=400, content_type="text/html"))
    page.goto(f"{live_server.url}/wrong/")
    assert faults(page, as_it_is) == []


def faults(page: Page, do: Callable[[Page], None]) -> list[str]:
    """Return what is wrong with a page once something was done there, on a desk and on a phone."""
    page.set_viewport_size({"width": 1440, "height": 900})
    do(page)
    found = sideways(page, 1440) + sideways(page, 1024)
    page.set_viewport_size({"width": 1440, "height": 900})
    found += axe(page, "desk")
    page.context.new_cdp_session(page).send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    found += sideways(page, 320) + sideways(page, 390)
    return found + axe(page, "phone")


def axe(page: Page, where: str) -> list[str]:
    """Return what axe-core finds, in light and in dark: the rule, the part of the page, and why.

    In the second theme it looks at colours alone: nothing else in the stylesheet depends on the theme.
    """
    found = []
    for theme, rules in (("light", RULES), ("dark", COLOURS)):
        page.emulate_media(color_scheme=theme)
        options = {"runOnly": rules, "resultTypes": ["violations"], "preload": False}
        for violation in page.evaluate("options => axe.run(options).then(result => result.violations)", options):
            found += [
                f"{where}, {theme}: {violation['id']}: {node['target']} {node['failureSummary']}"
                for node in violation["nodes"]
            ]
    return found


# What is fixed to the window does not widen the page, and may be cut off instead.
SIDEWAYS = """width => {
  const found = [], root = document.documentElement
  if (root.scrollWidth > width) found.push(`the page is ${root.scrollWidth} wide`)
  for (const one of document.querySelectorAll(".bar *, .top > *, [popover]:popover-open, [popover]:popover-open *")) {
    if (!one.checkVisibility() || one.closest(".tabs, .vh, .vh-narrow, .md *")) continue
    const { left, right } = one.getBoundingClientRect()
    if (left >= -0.5 && right <= width + 0.5) continue
    found.push(`${one.tagName}.${one.className} #${one.id} from ${left} to ${right}`)
  }
  return found
}"""


def sideways(page: Page, width: int) -> list[str]:
    """Return what is wider than a window of this width."""
    page.set_viewport_size({"width": width, "height": 844})
    return [f"at {width}: {what}" for what in page.evaluate(SIDEWAYS, width)]
