"""Judging as people do it: by keys, by mouse, by touch, and over a bad connection."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotate.models import Comparison, Lease, PreferencePair, Revision
from annotate.queue import next_lease
from tests.browser import PHONE, SUBMIT, intercept, start_judging, visit
from tests.stack import wait_until

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
        start_judging(page)
        return page

    yield open_page
    for window in windows:
        window.close()
    assert not faults


def answers(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".answer > .md").all_inner_texts()]


def receipt(page: Page):
    return page.locator("#receipt")


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


def standing_pairs() -> set[str]:
    return set(PreferencePair.objects.current().values_list("chosen__text", flat=True))


def ahead_is_here(page: Page) -> None:
    """Wait until the comparison after this one has been fetched."""
    expect(page.locator("body[data-ahead]")).to_have_count(1)


def test_the_next_comparison_is_there_before_the_server_has_answered(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)
    held = []
    intercept(page, SUBMIT, lambda route: held.append(route))
    page.keyboard.press("1")
    assert answers(page) != first  # at once: nothing was answered yet
    expect(page.locator("#prompt-h")).to_be_focused()
    assert len(held) == 1
    held[0].continue_()
    expect(receipt(page)).to_contain_text("· answer 1")
    assert said() == [first[0]]


def test_choices_made_without_a_connection_arrive_when_it_is_back(judge_page, comparisons):
    comparisons(4)
    page = judge_page()
    ahead_is_here(page)
    intercept(page, SUBMIT, lambda route: route.abort())
    first = answers(page)[1]
    page.keyboard.press("2")
    unsent = page.locator("#unsent")
    expect(unsent).to_contain_text("Not sent yet. The server cannot be reached. What you chose is kept.")
    second = answers(page)[0]
    page.keyboard.press("1")
    unsent.get_by_role("button", name="Try now").click()
    expect(unsent).to_contain_text("Not sent yet: 2.")
    page.reload()
    expect(unsent).to_contain_text("Not sent yet: 2.")
    assert not Revision.objects.exists()
    page.unroute_all()
    unsent.get_by_role("button", name="Try now").click()
    expect(page.locator(".tally")).to_contain_text("2 today")
    expect(unsent).to_be_hidden()
    assert said() == [first, second]
    assert not set(answers(page)) & {first, second}


def test_a_choice_that_is_never_taken_can_be_given_up(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    page.evaluate("document.querySelector('#choose').action = '/p/plain/judge/0000000000000000/'")
    page.keyboard.press("1")
    unsent = page.locator("#unsent")
    expect(unsent).to_contain_text("Not sent yet. This project, or this comparison, is no longer open to you.")
    page.keyboard.press("2")
    expect(unsent).to_contain_text("Not sent yet: 2.")
    unsent.get_by_role("button", name="Give it up").click()
    expect(page.locator(".tally")).to_contain_text("1 today")
    expect(unsent).to_be_hidden()
    assert Revision.objects.count() == 1


def test_a_choice_that_always_troubles_the_server_can_be_given_up(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    troubles = []

    def trouble(route):
        troubles.append(route)
        route.fulfill(status=500, body="<h1>Oh</h1>")

    intercept(page, SUBMIT, trouble)
    page.keyboard.press("1")
    give_up = page.locator("#unsent").get_by_role("button", name="Give it up")
    try_now = page.locator("#unsent").get_by_role("button", name="Try now")
    expect(try_now).to_be_visible()
    expect(give_up).to_be_hidden()
    try_now.click()
    expect(give_up).to_be_visible(timeout=10_000)
    assert len(troubles) == 3
    page.keyboard.press("2")
    page.unroute_all()
    give_up.click()
    expect(page.locator(".tally")).to_contain_text("1 today")
    expect(page.locator("#unsent")).to_be_hidden()
    assert Revision.objects.count() == 1


def test_a_choice_whose_answer_was_lost_counts_once(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)[1]
    intercept(page, SUBMIT, lambda route: (route.fetch(), route.abort()))
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_contain_text("Not sent yet.")
    assert Revision.objects.count() == 1
    page.unroute_all()
    page.locator("#unsent").get_by_role("button", name="Try now").click()
    expect(receipt(page)).to_contain_text("· answer 2")
    assert said() == [first]
    assert Revision.objects.count() == 1


def test_another_choice_after_a_lost_answer_counts_instead(judge_page, comparisons):
    comparisons(1)
    page = judge_page()
    shown = answers(page)
    intercept(page, SUBMIT, lambda route: (route.fetch(), route.abort()))
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_be_visible()
    page.keyboard.press("1")
    page.unroute_all(behavior="ignoreErrors")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible(timeout=10_000)
    expect(receipt(page)).to_contain_text("· answer 1")
    assert standing_pairs() == {shown[0]}
    assert Comparison.objects.filter(judged=1).count() == 1


def test_an_edit_begun_before_the_answer_came_counts_instead(judge_page, project, comparisons):
    project.edits = True
    comparisons(1)
    page = judge_page()
    first, second = answers(page)
    held = []
    intercept(page, SUBMIT, lambda route: held.append(route))
    page.keyboard.press("1")
    page.keyboard.press("e")
    page.keyboard.press("1")
    page.get_by_role("textbox", name="Your answer, in Markdown").fill("Mine.")
    held[0].continue_()
    expect(receipt(page)).to_contain_text("· answer 1")
    page.unroute_all()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    expect(receipt(page)).to_contain_text("· your text > answer 1 · replaces what you said before")
    assert standing_pairs() == {"Mine.", first}
    assert Revision.objects.count() == 2


def test_it_tries_again_by_itself(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    intercept(page, SUBMIT, lambda route: route.abort(), times=1)
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_be_visible()
    expect(receipt(page)).to_contain_text("· answer 2")
    assert Revision.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "The server has a problem."),
        (403, "The server no longer knows this page; load it again."),
        (200, "What came back is not from Winnow"),  # a network's own sign-in page, say
    ],
)
def test_a_server_in_trouble_loses_nothing(judge_page, comparisons, status, reason):
    comparisons()
    page = judge_page()
    intercept(page, SUBMIT, lambda route: route.fulfill(status=status, body="<h1>Oh</h1>"))
    page.keyboard.press("2")
    expect(page.locator("#unsent")).to_contain_text(f"Not sent yet. {reason}")
    page.unroute_all()
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert Revision.objects.count() == 1


def another_tab(page: Page) -> Page:
    tab = page.context.new_page()
    tab.goto("/p/plain/judge/")
    return tab


def test_two_tabs_keep_their_choices_apart(judge_page, comparisons):
    comparisons(4)
    first = judge_page()
    second = another_tab(first)
    ahead_is_here(first)
    ahead_is_here(second)
    for tab in (first, second):
        intercept(tab, SUBMIT, lambda route: route.abort())
    first.keyboard.press("b")
    expect(first.locator("#unsent")).to_be_visible()
    second.keyboard.press("s")
    expect(second.locator("#unsent")).to_be_visible()
    first.keyboard.press("t")
    third = first.context.new_page()
    first.close()
    second.close()
    third.goto("/p/plain/judge/")
    wait_until(lambda: Revision.objects.count() == 3, 5, "the choices of both tabs")
    kinds = list(Revision.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["both_bad", "skipped", "ranked"]
    expect(third.locator("#unsent")).to_be_hidden()


def test_what_another_tab_has_sent_is_not_sent_again(judge_page, comparisons):
    comparisons(3)
    first = judge_page()
    ahead_is_here(first)
    first.context.route(SUBMIT, lambda route: route.abort())
    first.keyboard.press("1")
    expect(first.locator("#unsent")).to_be_visible()
    second = another_tab(first)
    expect(second.locator("#unsent")).to_contain_text("Not sent yet.")
    asked = []
    second.on("request", lambda request: asked.append(request.url))
    first.context.unroute_all()
    first.get_by_role("button", name="Try now").click()
    expect(receipt(first)).to_contain_text("· answer 1")
    asked.clear()
    second.get_by_role("button", name="Try now").click()
    expect(second.locator("#unsent")).to_be_hidden()
    assert not [url for url in asked if SUBMIT.search(url)]
    assert Revision.objects.count() == 1


def test_an_earlier_judgement_sends_nothing_that_waits(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    ahead_is_here(page)
    intercept(page, SUBMIT, lambda route: route.abort())
    page.keyboard.press("b")
    expect(page.locator("#unsent")).to_contain_text("Not sent yet.")
    page.goto("/p/plain/judge/mine/")
    page.unroute_all()
    page.locator(".mine > li").get_by_role("link").click()
    expect(page.get_by_role("button", name="Answer 1 is better")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    expect(page.locator("#unsent")).to_be_hidden()
    assert Revision.objects.count() == 1
    assert not Lease.objects.exists()
    page.goto("/p/plain/judge/")
    expect(page.locator(".tally")).to_contain_text("2 today")
    assert said()[1] == "both_bad"


@pytest.mark.parametrize(
    "trouble",
    [
        "Storage.prototype.setItem = () => { throw new DOMException('Full', 'QuotaExceededError') }",
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('No', 'SecurityError') } })",
    ],
    ids=["full", "barred"],
)
def test_judging_goes_on_where_the_browser_keeps_nothing(judge_page, project, comparisons, trouble):
    project.asks_reason = True
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    page.evaluate(f"() => {{ {trouble}; }}")
    page.get_by_role("textbox", name="Why").fill("No room")
    page.keyboard.press("Escape")
    intercept(page, SUBMIT, lambda route: route.abort())
    page.keyboard.press("2")
    unsent = page.locator("#unsent")
    expect(unsent).to_contain_text("This browser cannot keep what you chose: leave this page open until it is sent.")
    page.unroute_all()
    unsent.get_by_role("button", name="Try now").click()
    expect(page.locator(".tally")).to_contain_text("1 today")
    page.keyboard.press("1")
    expect(page.locator(".tally")).to_contain_text("2 today")
    assert Revision.objects.filter(reason="No room").count() == 1


def test_a_broken_value_in_storage_stops_nothing(judge_page, bob, project, comparisons):
    project.edits = True
    comparisons(2)
    page = judge_page()
    names = [f"winnow-unsent-{bob.pk}-/p/plain/judge/"]
    for kind in ("draft", "edit"):
        names.append(f"winnow-{kind}-{bob.pk}-{page.locator('.sheet').get_attribute('data-comparison')}")
    page.evaluate("names => names.forEach(name => localStorage.setItem(name, '{'))", names)
    page.reload()
    ahead_is_here(page)
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(page.get_by_role("textbox", name="Your answer, in Markdown")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()


def test_who_was_signed_out_signs_in_elsewhere_and_goes_on(judge_page, bob, live_server, comparisons):
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
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert Revision.objects.count() == 1


def test_what_the_server_refuses_comes_back(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)
    page.evaluate("document.querySelector('#choose [name=seen]').value = 'forged'")
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("That page was out of date, so nothing was saved from it.")
    assert answers(page) == first
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert len(said()) == 2


def test_undo_brings_back_what_was_before_and_keeps_what_was_read(judge_page, comparisons):
    comparisons(4)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    second = answers(page)
    page.keyboard.press("u")
    expect(receipt(page)).to_contain_text("Taken back: choose again.")
    assert answers(page) == first
    page.keyboard.press("t")
    expect(receipt(page)).to_contain_text("· tie")
    assert answers(page) == second


def test_strength_quality_and_reason(judge_page, project, comparisons):
    project.asks_strength = project.asks_quality = project.asks_reason = True
    comparisons(2)
    page = judge_page()
    best = answers(page)[1]
    page.keyboard.press("w")
    page.keyboard.type("It is right: 1 and 2")  # silent while typing
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.locator("#how-much")).to_be_focused()
    page.keyboard.press("Backspace")
    expect(page.get_by_role("button", name="Answer 1 is better")).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator("#how-much")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#how-good")).to_be_focused()
    page.keyboard.press("2")
    expect(receipt(page)).to_contain_text("· answer 2")
    revision = Revision.objects.get()
    assert (revision.strength, revision.quality, revision.reason) == (2, "usable", "It is right: 1 and 2")
    assert said() == [best]
    page.get_by_role("button", name="Tie").click()  # a tie has no winner to ask about
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()


def test_quality_is_asked_of_the_winner_of_a_ranking(judge_page, project, comparisons):
    project.mode, project.asks_quality = "rank", True
    comparisons(2, answers=3)
    page = judge_page()
    for key in ("3", "1", "=", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#how-good")).to_be_visible()
    page.get_by_role("button", name="Good").click()
    expect(receipt(page)).to_contain_text("· 3 > 1 = 2")
    assert Revision.objects.get().quality == "good"
    for key in ("3", "=", "1", "=", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()


def test_a_draft_outlasts_a_reload(judge_page, project, comparisons):
    project.asks_reason, project.mode = True, "rank"
    comparisons(2, answers=3)
    page = judge_page()
    page.get_by_role("textbox", name="Why").fill("Half a thought")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    shown = answers(page)
    page.reload()
    assert answers(page) == shown
    expect(page.get_by_role("textbox", name="Why")).to_have_value("Half a thought")
    expect(page.locator("#a2 .place")).to_have_text("Best")
    for key in ("1", "3", "Enter"):
        page.keyboard.press(key)
    expect(receipt(page)).to_contain_text("· 2 > 1 > 3")
    expect(page.get_by_role("textbox", name="Why")).to_have_value("")
    assert Revision.objects.get().reason == "Half a thought"


def test_flagging(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    page.keyboard.press("f")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tick what is wrong, or say it in words.")).to_be_visible()
    page.keyboard.press("3")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(receipt(page)).to_contain_text("· flagged")
    revision = Revision.objects.get()
    assert revision.flags == ["It could hurt somebody", "It is broken or cut off"]
    assert Comparison.objects.filter(judged=0).count() == 2


def test_ranking_by_dragging(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(2, answers=4)
    page = judge_page()

    def drag(number: str, x: float, y: float) -> None:
        page.locator(f".shelf [data-n='{number}']").hover()
        page.mouse.down()
        page.mouse.move(x, y, steps=8)
        page.mouse.up()

    def middle(number: str) -> tuple[float, float]:
        box = page.locator(f".shelf [data-n='{number}']").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    for key in ("3", "1"):
        page.keyboard.press(key)
    box = page.locator(".shelf [data-n='3']").bounding_box()
    drag("4", box["x"] - 4, box["y"] + 5)  # before the best
    expect(page.locator("[name=ranking]")).to_have_value("4>3>1")
    drag("2", *middle("3"))  # onto another: a tie
    expect(page.locator("[name=ranking]")).to_have_value("4>3=2>1")
    drag("4", box["x"], box["y"] - 200)  # away: out of the line
    expect(page.locator("[name=ranking]")).to_have_value("3=2>1")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(receipt(page)).to_contain_text("· 2 = 3 > 1 > 4")


def test_a_finger_drags_as_well(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(1, answers=3)
    page = judge_page(**PHONE)
    for number in ("1", "2", "3"):
        page.locator(f".shelf [data-n='{number}']").tap()
    expect(page.locator("[name=ranking]")).to_have_value("1>2>3")
    boxes = [page.locator(f".shelf [data-n='{number}']").bounding_box() for number in ("3", "1")]
    start, end = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes]
    session = page.context.new_cdp_session(page)
    touch = lambda kind, *at: session.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]}
    )
    touch("touchStart", start)
    for part in range(1, 9):
        touch("touchMove", (start[0] + (end[0] - start[0]) * part / 8, end[1]))
    touch("touchEnd")
    expect(page.locator("[name=ranking]")).to_have_value("1=3>2")


def test_ones_last_judgements_can_be_changed(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    page.keyboard.press("b")
    expect(page.locator(".tally")).to_contain_text("2 today")
    page.keyboard.press("h")
    rows = page.locator(".mine > li")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Both bad")
    rows.nth(1).get_by_role("link").click()
    assert answers(page) == first
    expect(page.get_by_role("button", name="Answer 1 is better")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Your last judgements")).to_be_visible()
    expect(rows.nth(0)).to_contain_text("Answer 2")
    expect(rows.nth(0)).to_contain_text("said 2 times")
    assert standing_pairs() == {first[1]}
    assert Revision.objects.count() == 3
    page.keyboard.press("h")
    expect(page.locator(".tally")).to_contain_text("2 today")


def test_a_pause_is_no_time_spent_judging(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    page.clock.install()
    page.reload()
    page.clock.run_for(4_000)
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Paused")).to_be_focused()
    page.keyboard.press("1")  # silent
    page.clock.run_for(60_000)
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Paused")).to_be_hidden()
    page.wait_for_timeout(200)
    page.clock.run_for(2_000)
    page.keyboard.press("1")
    expect(page.locator(".tally")).to_contain_text("1 today")
    assert 5.5 < Revision.objects.get().seconds < 20


def test_leaving_frees_what_lay_there_and_a_reload_does_not(judge_page, bob, project, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    shown = answers(page)
    assert Lease.objects.count() == 2
    page.reload()
    ahead_is_here(page)
    assert answers(page) == shown
    page.wait_for_timeout(300)  # for the old page's farewell
    assert Lease.objects.count() == 2
    page.goto("/")
    wait_until(lambda: not Lease.objects.exists(), 5, "the end of the leases")


def test_guidelines_that_changed_come_before_the_next_comparison(judge_page, project, comparisons):
    """All that was chosen under the old ones is sent first."""
    comparisons(4)
    page = judge_page()
    ahead_is_here(page)
    project.guideline_versions.create(version=2, text="Shorter is better.")
    intercept(page, SUBMIT, lambda route: route.abort())
    for _ in range(2):
        page.keyboard.press("1")
    unsent = page.locator("#unsent")
    expect(unsent).to_contain_text("Not sent yet")
    page.unroute_all()
    unsent.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", name="The guidelines have changed")).to_be_visible()
    assert list(Revision.objects.values_list("guidelines__version", flat=True)) == [1, 1]
    page.get_by_role("button", name="Start judging").click()
    page.keyboard.press("g")
    expect(page.locator("#guide")).to_contain_text("Shorter is better.")
    page.keyboard.press("1")
    expect(page.locator(".tally")).to_contain_text("3 today")
    assert Revision.objects.latest("pk").guidelines.version == 2


def test_what_lay_there_when_the_guidelines_changed_comes_back(judge_page, project, comparisons):
    project.asks_reason = True
    comparisons(4)
    page = judge_page()
    ahead_is_here(page)
    first = answers(page)
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")
    ahead_is_here(page)
    second = answers(page)
    page.get_by_role("textbox", name="Why").fill("Half a thought")
    page.keyboard.press("Escape")
    project.guideline_versions.create(version=2, text="Shorter is better.")
    page.keyboard.press("u")
    page.get_by_role("button", name="Start judging").click()
    expect(receipt(page)).not_to_contain_text("· answer 1")
    assert answers(page) == first
    ahead_is_here(page)
    page.keyboard.press("1")
    assert answers(page) == second
    expect(page.get_by_role("textbox", name="Why")).to_have_value("Half a thought")


def test_single_keys_can_be_turned_off(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    page.locator("[popovertarget=you]").click()
    page.get_by_role("button", name="Single keys off").click()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert not Revision.objects.exists()
    page.reload()
    page.keyboard.press("t")
    page.wait_for_timeout(200)
    assert not Revision.objects.exists()
    page.get_by_role("button", name="Tie").press("Enter")
    expect(page.locator(".tally")).to_contain_text("1 today")


def test_answers_can_scroll_apart(judge_page, add_prompts, sampled):
    (prompt,) = add_prompts("Long?")
    sampled({prompt: ["word\n\n" * 200, "other\n\n" * 200]})
    page = judge_page()
    page.keyboard.press("a")
    page.locator("#a1").hover()
    page.mouse.wheel(0, 500)
    page.wait_for_timeout(200)
    tops = page.evaluate("['a1', 'a2'].map(id => document.getElementById(id).scrollTop)")
    assert tops[0] > 100
    assert tops[1] == 0
    page.keyboard.press("a")
    assert page.evaluate("document.getElementById('a1').scrollHeight <= document.getElementById('a1').clientHeight + 1")


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
