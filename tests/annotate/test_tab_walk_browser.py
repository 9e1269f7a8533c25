"""The judge page by the Tab key alone, and as a screen reader hears it."""

import pytest
from playwright.sync_api import Page

from tests.browser import start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CONTROLS = "a[href], button, summary, select, textarea, input:not([type=hidden]), [tabindex='0']"

# What can be reached: what is seen, in the order of the page. The way past the strip is seen when it has the focus.
TO_REACH = f"""() => [...document.querySelectorAll("{CONTROLS}")]
  .filter(one => one.checkVisibility({{visibilityProperty: true}}) && !one.disabled && !one.closest("[popover]"))
  .map(one => window.called(one))"""
CALLED = """window.called = one => {
  const name = one.getAttribute("aria-label") ?? one.title ?? ""
  return `${one.localName} ${one.id || name || one.textContent.replace(/\\s+/g, " ").trim()}`
}"""
# Where the focus is, what shows it, and whether something lies over it.
FOCUSED = """() => {
  const one = document.activeElement
  if (one === document.body) return null
  const { outlineStyle, outlineWidth } = getComputedStyle(one)
  const { left, top, width, height } = one.getBoundingClientRect()
  const there = document.elementFromPoint(
    Math.min(Math.max(left + width / 2, 0), innerWidth - 1), Math.min(Math.max(top + height / 2, 0), innerHeight - 1))
  return {
    called: window.called(one),
    shown: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1,
    covered: !(one.contains(there) || there?.contains(one) || there?.closest("label")?.contains(one)),
  }
}"""


@pytest.fixture
def page(live_server, browser, bob, project):
    """Return a function that opens Bob's judge page at this width, the project set so."""
    windows = []

    def open_page(width: int, **asked) -> Page:
        for name, value in asked.items():
            setattr(project, name, value)
        project.save()
        window = visit(browser, live_server.url, bob, viewport={"width": width, "height": 800})
        window.add_init_script(CALLED)
        windows.append(window)
        opened = window.new_page()
        start_judging(opened)
        opened.reload()  # the focus is where a page's focus begins
        return opened

    yield open_page
    for window in windows:
        window.close()


def walk(page: Page) -> list[dict]:
    """Press Tab until the focus has left the page; return what had it, in this order."""
    steps = []
    for _ in range(100):
        page.keyboard.press("Tab")
        step = page.evaluate(FOCUSED)
        if step is None or (steps and step["called"] == steps[0]["called"]):
            return steps
        steps.append(step)
    raise AssertionError(f"The focus does not leave the page: {[step['called'] for step in steps[-10:]]}")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        (2, {"asks_reason": True, "asks_strength": True, "asks_quality": True}),
        (5, {}),
        (8, {"mode": "rank"}),
    ],
    ids=["two", "five", "rank"],
)
def test_every_control_is_reached_in_the_order_of_the_page(page, comparisons, width, answers, asked):
    comparisons(2, answers=answers)
    opened = page(width, **asked)
    to_reach = opened.evaluate(TO_REACH)
    steps = walk(opened)
    assert [step["called"] for step in steps] == to_reach
    assert [step["called"] for step in steps if not step["shown"]] == []
    assert [step["called"] for step in steps if step["covered"]] == []


def test_the_second_question_is_walked_as_well(page, comparisons):
    comparisons()
    opened = page(1440, asks_strength=True)
    opened.keyboard.press("1")
    names = [step["called"] for step in walk(opened)[:5]]
    assert names == [
        "button 1 Significantly better",
        "button 2 Better",
        "button 3 Slightly better",
        "button 4 Negligibly, or unsure",
        "button Back Bksp",
    ]


@pytest.mark.parametrize(
    ("answers", "asked", "heard"),
    [
        (
            2,
            {"asks_reason": True},
            [
                'heading "Which answer is better?" [level=1]',
                'heading "Prompt" [level=2]',
                'heading "Answer 1" [level=2]',
                'button "Plain text"',
                'textbox "Why, in your own words (need not be filled in)"',
                'button "Answer 1 is better"',
                'button "Tie"',
                'button "Both bad"',
                'button "Answer 2 is better"',
                'button "Flag"',
                'button "Skip"',
            ],
        ),
        (5, {}, ['group "Which answer is best?"', 'button "Answer 5 is best"', 'button "All bad"']),
        (
            3,
            {"mode": "rank"},
            ['group "Your ranking, best first"', 'button "Put answer 3 next"', 'button "Save" [disabled]'],
        ),
    ],
    ids=["two", "five", "rank"],
)
def test_what_a_screen_reader_hears(page, comparisons, answers, asked, heard):
    comparisons(1, answers=answers)
    snapshot = page(1440, **asked).locator("body").aria_snapshot()
    lines = [line.strip().removeprefix("- ") for line in snapshot.splitlines()]
    assert [name for name in heard if not any(line.startswith(name) for line in lines)] == []
    nameless = ("button", "link", "textbox", "checkbox", "combobox")
    assert [line for line in lines if line.split(":")[0] in nameless] == []
