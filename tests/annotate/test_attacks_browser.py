"""The corpus of attacks as answers on the judge page, in Chromium: nothing runs, loads, leaves or covers anything."""

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Comparison
from projects.prompts import UNSTORABLE
from tests.attacks import corpus
from tests.browser import PHONE, start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AT_ONCE = 8
WIDE = {"viewport": {"width": 1440, "height": 900}}

# What a script or a policy violation leaves behind, from before the page's own scripts on.
WATCH = """
    window.tripped = []
    for (const name of ["alert", "confirm", "prompt", "open"]) window[name] = () => tripped.push(name)
    document.addEventListener("securitypolicyviolation", event => tripped.push(event.violatedDirective))
    window.addEventListener("beforeunload", () => tripped.push("left"))
"""
STRANGERS = """
([html, attributes, mathml, mathmlAttributes]) => [...document.querySelectorAll(".md *")].filter(element => {
    const formula = element.namespaceURI.endsWith("MathML")
    return !(formula ? mathml : html).includes(element.localName)
        || [...element.attributes].some(({ name }) => !(formula ? mathmlAttributes : attributes).includes(name))
        || (element.closest("a[href]") && !/^(https?|mailto):$/.test(element.closest("a").protocol))
}).map(element => element.outerHTML.slice(0, 300))
"""
# Of the controls that are in sight: what lies over one?
COVERED = """
() => [...document.querySelectorAll("button, .top a, .answer > header, .swipe a")].filter(control => {
    const box = control.getBoundingClientRect()
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
    if (!box.width || x < 0 || y < 0 || x > innerWidth || y > innerHeight || !control.checkVisibility()) return false
    const top = document.elementFromPoint(x, y)
    return top.closest(".md, .source") && !control.contains(top)
}).map(control => control.outerHTML)
"""


@pytest.fixture
def open_page(live_server, browser, bob):
    """Return a function that opens Bob's judge page; anything it does that it should not fails the test."""
    windows, faults = [], []

    def open_it(**options) -> Page:
        window = visit(browser, live_server.url, bob, **options)
        window.set_default_timeout(20_000)
        windows.append(window)
        page = window.new_page()
        page.add_init_script(WATCH)
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("popup", lambda popup: faults.append(popup.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.on("request", lambda asked: asked.url.startswith(live_server.url) or faults.append(asked.url))
        start_judging(page)
        return page

    yield open_it
    for window in windows:
        window.close()
    assert not faults


def put(project, add_prompts, sampled, texts: list[str]) -> set[str]:
    """Make one comparison of these answers, and return them as they are stored."""
    project.answers_per_comparison = max(len(texts), 2)
    project.save()
    known = set(project.prompts.values_list("pk", flat=True))
    (prompt,) = (prompt for prompt in add_prompts(f"Attack {len(known)}") if prompt.pk not in known)
    sampled({prompt: texts})
    return {as_read(UNSTORABLE.sub("\ufffd", text)) for text in texts}


def as_read(text: str) -> str:
    """Return the text as a parser of HTML takes it from a <pre>."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check(page: Page, written: list[set[str]]) -> None:
    """See that this page shows one of the comparisons, and that it is harmless."""
    assert {as_read(text) for text in page.locator(".answer .source").all_text_contents()} in written
    assert page.evaluate("tripped") == []
    allowed = [corpus.HTML, corpus.ATTRIBUTES, corpus.MATHML, corpus.MATHML_ATTRIBUTES]
    assert page.evaluate(STRANGERS, [names.split() for names in allowed]) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for place in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
        page.evaluate(f"scrollTo(0, {place})")
        assert page.evaluate(COVERED) == []
    assert page.title() == "Which answer is better? · Plain answers"
    assert page.url.endswith("/p/plain/judge/")


@pytest.mark.parametrize("options", [WIDE, PHONE], ids=["wide", "phone"])
def test_attacks_do_nothing(open_page, project, add_prompts, sampled, options):
    """Each is looked at as htmx brings it, and in plain text; some as the server sends them with the page."""
    texts = [text for family in corpus.FAMILIES for text in corpus.cases(family).values()]
    groups = [texts[i : i + AT_ONCE] for i in range(0, len(texts), AT_ONCE)]
    assert len(texts) > 100
    written = [put(project, add_prompts, sampled, group) for group in groups]
    page = open_page(**options)
    for number in range(1, len(groups) + 1):
        if number % 3 == 1:
            page.reload()
        check(page, written)
        page.keyboard.press("r")
        expect(page.locator(".answer .source").first).to_be_visible()
        assert page.evaluate(COVERED) == []
        page.keyboard.press("r")
        page.locator("button[name=choice][value='1']").click()
        expect(page.locator(".tally")).to_contain_text(f"{number} today")
    assert Comparison.objects.filter(judged=1).count() == len(groups)


def test_giants_leave_the_page_usable(open_page, project, add_prompts, sampled):
    giants = [f"{text}\n\n{name}" for name, text in corpus.GIANTS.items()]
    groups = [giants[i : i + 4] for i in range(0, len(giants), 4)]
    written = [put(project, add_prompts, sampled, group) for group in groups]
    page = open_page(**WIDE)
    for number in range(1, len(groups) + 1):
        started = page.evaluate("performance.now()")
        check(page, written)
        page.keyboard.press("1")
        # The answer brings the next giants but one: the page is there at once, its receipt takes a while.
        expect(page.locator(".tally")).to_contain_text(f"{number} today", timeout=15_000)
        assert page.evaluate("performance.now()") - started < 15_000


def test_direction_stays_inside(open_page, project, add_prompts, sampled):
    """What is beside a text that turns direction stands where it stood."""
    put(project, add_prompts, sampled, ["\u202e\u202eturned \u2067around", "plain"])
    page = open_page(**WIDE)
    order = """(selector) => [...document.querySelectorAll(selector)].map(element => {
        const range = document.createRange(), text = element.lastChild
        const x = at => { range.setStart(text, at); range.setEnd(text, at + 1); return range.getBoundingClientRect().x }
        return x(0) < x(text.length - 1)
    })"""
    assert page.evaluate(order, ".end") == [True, True]
    assert page.evaluate(order, ".answer .md p") == [True, True]
    # A tower of accents is cut where the answer ends, over no control.
    assert page.locator(".answer .md").first.evaluate("element => getComputedStyle(element).overflow") == "clip"
