"""Judging as people do it: by keys, by mouse, by touch, and over a bad connection."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Comparison, PreferencePair, Revision
from annotate.queue import next_lease
from tests.browser import PHONE, visit

WIDE = {"width": 1440, "height": 900}
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def judge_page(live_server, browser, bob, project):
    """Return a function that opens Bob's judge page, the guidelines read, in a window of its own."""
    windows, faults = [], []

    def open_page(**options) -> Page:
        window = visit(browser, live_server.url, bob, **({"viewport": WIDE} | options))
        window.on("weberror", lambda error: faults.append(str(error.error)))
        windows.append(window)
        page = window.new_page()
        page.goto("/p/plain/judge/?start=1")
        return page

    yield open_page
    for window in windows:
        window.close()
    assert not faults


def answers(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".answer > .md").all_inner_texts()]


def receipt(page: Page):
    return page.locator(".receipt").first


def said() -> list[str]:
    """Return what stands, oldest first: the chosen text, or the kind of choice."""
    standing = Revision.objects.filter(judgement__current__isnull=False).order_by("pk")
    return [
        " ".join(revision.pairs.values_list("chosen__text", flat=True)) or revision.kind
        for revision in standing
        if revision.judgement.current_id == revision.pk
    ]


def test_by_keys(judge_page, comparisons):
    comparisons(5)
    page = judge_page()
    second = answers(page)[1]
    page.keyboard.press("2")
    expect(receipt(page)).to_contain_text(re.compile(r"Saved .* · answer 2"))
    expect(page.locator("#heard")).to_contain_text("Which answer is better?")
    expect(page.locator("#prompt-h")).to_be_focused()
    page.keyboard.press("t")
    expect(receipt(page)).to_contain_text("· tie")
    page.keyboard.press("b")
    expect(receipt(page)).to_contain_text("· both bad")
    page.keyboard.press("0")
    expect(page.locator(".tally")).to_contain_text("4 today")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert said() == [second, "ranked", "both_bad", "ranked", "skipped"]
    assert page.url.endswith("/p/plain/judge/?start=1")


def test_by_mouse(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    first = answers(page)[0]
    page.get_by_role("button", name="Answer 1 is better").click()
    expect(receipt(page)).to_contain_text("· answer 1")
    page.get_by_role("button", name="Both bad").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert said() == [first, "both_bad"]


def test_undo(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    shown = answers(page)
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    page.keyboard.press("u")
    expect(receipt(page)).to_contain_text("Taken back: choose again.")
    assert answers(page) == shown
    page.keyboard.press("2")
    expect(receipt(page)).to_contain_text("· answer 2")
    assert said() == [shown[1]]


def test_a_held_key_judges_once(judge_page, comparisons):
    comparisons(4)
    page = judge_page()
    page.keyboard.down("1")
    expect(page.locator(".tally")).to_contain_text("1 today")
    page.keyboard.down("1")  # without up in between it is a repeat
    page.wait_for_timeout(300)
    page.keyboard.up("1")
    assert Revision.objects.count() == 1
    page.keyboard.press("1")
    expect(page.locator(".tally")).to_contain_text("2 today")


def test_ranking_by_typing(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(2, answers=4)
    page = judge_page()
    texts = answers(page)
    line = page.locator(".shelf")
    for key in ("3", "1", "=", "2", "Backspace", "=", "4"):
        page.keyboard.press(key)
    expect(line).to_have_text(re.compile(r"Best\s*3\s*>\s*1\s*=\s*4\s*To place\s*2"))
    expect(page.locator("#a4 .place")).to_have_text("2nd, tied")
    page.keyboard.press("Enter")  # not yet: answer 2 has no place
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(receipt(page)).to_contain_text("· 3 > 1 = 4 > 2")
    pairs = set(PreferencePair.objects.values_list("chosen__text", "rejected__text"))
    assert pairs == {(texts[a - 1], texts[b - 1]) for a, b in [(3, 1), (3, 4), (3, 2), (1, 2), (4, 2)]}


def test_ranking_by_clicking(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(answers=3)
    page = judge_page()
    for label in ("Put answer 2 next", "Put answer 1 next", "Put answer 3 next", "Answer 2. Press to take it out"):
        page.get_by_role("button", name=label).click()
    page.get_by_role("button", name="Put answer 2 next").click()
    page.get_by_role("button", name="Answer 1 is better than 3. Press for a tie").click()
    expect(page.get_by_role("button", name="Answers 1 and 3 tie. Press for a step")).to_be_visible()
    page.keyboard.press("Enter")
    expect(receipt(page)).to_contain_text("· 1 = 3 > 2")


def test_the_best_of_eight(judge_page, comparisons):
    comparisons(answers=8)
    page = judge_page()
    best = answers(page)[6]
    page.keyboard.press("7")
    expect(receipt(page)).to_contain_text("· answer 7")
    assert set(PreferencePair.objects.values_list("chosen__text", flat=True)) == {best}


def test_looking(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    page.keyboard.press("g")
    expect(page.locator("#guide")).to_be_visible()
    page.keyboard.press("r")
    expect(page.locator("#a1 .source")).to_be_visible()
    page.keyboard.press("1")  # neither the guidelines nor plain text end with a choice
    expect(receipt(page)).to_contain_text("· answer 1")
    expect(page.locator("#guide")).to_be_visible()
    expect(page.locator("#a1 .source")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator("#guide")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("2")  # silent under a sheet
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Keys")).to_be_hidden()
    assert Revision.objects.count() == 1


def test_on_a_phone(judge_page, comparisons):
    comparisons(2)
    page = judge_page(**PHONE)
    texts = answers(page)
    expect(page.get_by_role("link", name="Answer 1")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Answer 2").tap()
    expect(page.get_by_role("link", name="Answer 2")).to_have_attribute("aria-current", "true")
    expect(page.locator("#a2 > .md")).to_be_in_viewport()
    expect(page.locator("#a1 > .md")).not_to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Answer 2").tap()
    expect(page.locator(".tally")).to_contain_text("1 today")
    assert said() == [texts[1]]


def test_a_lost_connection_loses_nothing_and_doubles_nothing(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    shown = answers(page)
    page.route(re.compile(r"/judge/\d+/"), lambda route: route.abort())
    page.keyboard.press("2")
    unsent = page.locator("#unsent")
    expect(unsent).to_contain_text("Not sent yet. The server cannot be reached. Your choice is kept.")
    assert answers(page) == shown
    assert not Revision.objects.exists()
    page.unroute_all()
    # Now the choice arrives, and only its answer is lost.
    page.route(re.compile(r"/judge/\d+/"), lambda route: (route.fetch(), route.abort()))
    unsent.get_by_role("button", name="Try again").click()
    expect(page.locator("#heard")).to_contain_text("Not sent yet")
    expect(page.locator(".bar")).not_to_have_class(re.compile("htmx-request"))
    assert Revision.objects.count() == 1
    page.unroute_all()
    unsent.get_by_role("button", name="Try again").click()
    expect(receipt(page)).to_contain_text("· answer 2")
    assert said() == [shown[1]]
    assert Revision.objects.count() == 1


def test_another_choice_after_a_lost_answer_counts_instead(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    shown = answers(page)
    page.route(re.compile(r"/judge/\d+/"), lambda route: (route.fetch(), route.abort()))
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_be_visible()
    page.unroute_all()
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    assert said() == [shown[0]]
    assert Comparison.objects.filter(judged=1).count() == 1


@pytest.mark.parametrize("status", [500, 403])
def test_a_server_in_trouble_leaves_the_page_as_it_is(judge_page, comparisons, status):
    comparisons()
    page = judge_page()
    page.route(re.compile(r"/judge/\d+/"), lambda route: route.fulfill(status=status, body="<h1>Oh</h1>"))
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_contain_text("Not sent yet.")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert Revision.objects.count() == 1


def test_who_was_signed_out_signs_in_elsewhere_and_tries_again(judge_page, bob, live_server, comparisons):
    comparisons()
    page = judge_page()
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("1")
    expect(page.locator("#unsent")).to_contain_text("You are signed out.")
    with page.expect_popup() as popup:
        page.locator("#unsent").get_by_role("link", name="Sign in").click()
    tab = popup.value
    tab.fill("[name=username]", "bob")
    tab.fill("[name=password]", "correct horse battery")
    tab.keyboard.press("Enter")
    expect(tab).to_have_url(f"{live_server.url}/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert Revision.objects.count() == 1


def test_new_work_comes_by_itself(judge_page, dora, project, comparisons):
    comparisons()
    next_lease(dora, project)
    page = judge_page()
    page.clock.install()
    page.reload()
    expect(page.get_by_text("The last comparison lies before other people.")).to_be_visible()
    comparisons()
    page.clock.fast_forward(10_000)
    expect(page.get_by_role("button", name="Answer 1 is better")).to_be_visible()
    expect(page.locator("#prompt-h")).to_be_focused()


def test_without_javascript(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(2)
    page = judge_page(java_script_enabled=False)
    page.get_by_role("textbox", name="Ranking, best first").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("“2” must place each of the answers 1 to 2 once.")).to_be_visible()
    page.get_by_role("textbox", name="Ranking, best first").fill("2 > 1")
    page.keyboard.press("Enter")
    expect(receipt(page)).to_contain_text("· answer 2")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Taken back: choose again.")).to_be_visible()
    page.get_by_role("button", name="Skip").click()
    expect(receipt(page)).to_contain_text("· skipped")
    assert said() == ["skipped"]


def test_what_models_say_does_nothing(judge_page, add_prompts, sampled):
    (prompt,) = add_prompts("Hello?")
    attack = (
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\n\n"
        "[x](javascript:document.title='owned') ![y](https://evil.example/track.png)"
    )
    sampled({prompt: [attack, f"{attack} again"]})
    asked = []
    page = judge_page()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    assert page.title() == "Which answer is better? · Plain answers"
    assert page.locator(".answer img, .answer script, .answer [style]").count() == 0
    assert page.locator(".answer a[href^='javascript']").count() == 0
    assert not [url for url in asked if "evil" in url]
