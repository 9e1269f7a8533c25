"""Writing a better answer as people do it: by keys, by mouse, on a phone, over a bad connection, without a script."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotate.models import PreferencePair, Revision
from tests.annotate.test_judge_browser import WIDE, ahead_is_here, answers, receipt
from tests.browser import PHONE, SUBMIT, intercept, start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def judge_page(live_server, browser, bob, project):
    """Return a function that opens Bob's judge page, where answers may be edited, in a window of its own."""
    project.edits = True
    project.save()
    windows, faults = [], []

    def open_page(**options) -> Page:
        window = visit(browser, live_server.url, bob, **({"viewport": WIDE} | options))
        window.on("weberror", lambda error: faults.append(str(error.error)))
        windows.append(window)
        page = window.new_page()
        page.on("console", lambda message: faults.append(message.text) if "Security" in message.text else None)
        start_judging(page)
        return page

    yield open_page
    for window in windows:
        window.close()
    assert not faults


def text(page: Page):
    return page.get_by_role("textbox", name="Your answer, in Markdown")


def changes(page: Page) -> tuple[list[str], list[str]]:
    return tuple(page.locator(f".editor .text {tag}").all_inner_texts() for tag in ("del", "ins"))


def pairs() -> set[tuple[str, str]]:
    return set(PreferencePair.objects.current().values_list("chosen__text", "rejected__text"))


def test_by_keys(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    ahead_is_here(page)
    first, second = answers(page)
    page.keyboard.press("e")
    page.keyboard.press("2")
    expect(text(page)).to_be_focused()
    expect(text(page)).to_have_value(second)
    expect(page.get_by_role("heading", name="Editing answer 2 into a better one")).to_be_visible()
    expect(page.get_by_text("Counts as: your text > answer 2 > answer 1")).to_be_visible()
    expect(page.get_by_text("Nothing is changed yet")).to_be_visible()
    expect(page.locator(".answers")).to_be_hidden()
    page.keyboard.press("Control+a")
    page.keyboard.type(second.replace("Reply", "A better reply") + " Tie 1 2 b")  # silent while typing
    expect(page.get_by_text("What you changed: 1 word out, 7 in")).to_be_visible()
    out, into = changes(page)
    assert out == ["Reply"]
    assert {"A", "better", "reply"} <= set(" ".join(into).split())
    page.keyboard.press("Control+Enter")
    expect(receipt(page)).to_contain_text(re.compile(r"Saved .* · your text > answer 2"))
    expect(page.locator(".answers")).to_be_visible()
    expect(page.get_by_role("button", name="Answer 1 is better")).to_be_visible()
    assert not set(answers(page)) & {first, second}
    mine = second.replace("Reply", "A better reply") + " Tie 1 2 b"
    assert pairs() == {(mine, first), (mine, second), (second, first)}
    assert page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('winnow-edit'))") == []


def test_by_mouse_from_nothing(judge_page, comparisons):
    comparisons(1, answers=3)
    page = judge_page()
    shown = answers(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("link", name="None: write a new one").click()
    expect(page.get_by_role("heading", name="Writing an answer")).to_be_visible()
    expect(page.get_by_text("Counts as: your text is good, all 3 answers are bad")).to_be_visible()
    text(page).fill("All my own work.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    expect(receipt(page)).to_contain_text("· your text; all bad")
    assert pairs() == {("All my own work.", answer) for answer in shown}


def test_nothing_is_chosen_beside_the_text(judge_page, comparisons):
    comparisons()
    page = judge_page()
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(text(page)).to_be_focused()
    page.keyboard.press("Tab")  # out of the text
    for key in ("1", "2", "t", "b", "s"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert not Revision.objects.exists()
    page.keyboard.press("Escape")  # of the button that declares it
    expect(page.locator(".answers")).to_be_visible()
    page.keyboard.press("1")
    expect(receipt(page)).to_contain_text("· answer 1")


def test_what_is_no_better_answer_is_refused_where_it_stands(judge_page, comparisons):
    comparisons()
    page = judge_page()
    shown = answers(page)
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(text(page)).to_be_focused()
    page.keyboard.press("Control+Enter")
    wrong = page.get_by_role("alert")
    expect(wrong).to_have_text("You changed nothing in answer 1. Change it, or choose it as it is.")
    expect(text(page)).to_be_focused()
    text(page).fill(f"\n{shown[1]}  \n")
    expect(wrong).to_be_hidden()
    page.keyboard.press("Control+Enter")
    expect(wrong).to_have_text("Your text reads like answer 2. Change it, or choose answer 2.")
    text(page).fill(" ")
    page.keyboard.press("Control+Enter")
    expect(wrong).to_have_text("Your text is empty. Write an answer, or choose one of those shown.")
    text(page).fill(("word " * 10_001)[:50_001])
    page.keyboard.press("Control+Enter")
    expect(wrong).to_have_text("Your text has 50,001 characters; at most 50,000 are taken. Shorten it.")
    assert not Revision.objects.exists()


def test_a_draft_outlasts_a_cancel_and_a_reload(judge_page, comparisons):
    comparisons()
    page = judge_page()
    shown = answers(page)
    page.keyboard.press("e")
    page.keyboard.press("1")
    page.keyboard.press("t")  # the editor is on its way: no tie
    expect(text(page)).to_be_focused()
    page.keyboard.type("Half a thought. ")
    expect(page.get_by_text(re.compile(r"Draft kept \d"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".editor")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile(r"Edit ?\(draft\)"))).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name=re.compile(r"Edit ?\(draft\)"))).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.press("2")
    expect(text(page)).to_have_value(shown[1])  # the draft is of the other one
    page.keyboard.press("Escape")
    expect(page.locator(".editor")).to_have_count(0)
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(text(page)).to_have_value(f"Half a thought. {shown[0]}")
    expect(page.get_by_text("This is your draft, kept from before")).to_be_visible()
    page.get_by_role("button", name="Start again from answer 1").click()
    expect(text(page)).to_have_value(shown[0])
    page.keyboard.press("Control+z")
    expect(text(page)).to_have_value(f"Half a thought. {shown[0]}")
    page.get_by_role("button", name="Start again from answer 1").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_visible()


def test_over_a_lost_connection(judge_page, comparisons):
    comparisons(3)
    page = judge_page()
    ahead_is_here(page)
    page.keyboard.press("e")
    page.keyboard.press("1")
    intercept(page, SUBMIT, lambda route: (route.fetch(), route.abort()))  # it arrives, the answer does not
    text(page).fill("Mine.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#unsent")).to_contain_text("Not sent yet.")
    expect(page.get_by_role("button", name="Answer 1 is better")).to_be_visible()  # of the next one
    page.unroute_all()
    page.reload()
    expect(receipt(page)).to_contain_text("· your text > answer 1")
    expect(page.locator("#unsent")).to_be_hidden()
    assert Revision.objects.count() == 1
    assert PreferencePair.objects.filter(chosen__text="Mine.").count() == 2


def test_the_last_one_closes_the_editor_while_it_waits(judge_page, comparisons):
    comparisons(1)
    page = judge_page()
    page.keyboard.press("e")
    page.keyboard.press("1")
    text(page).fill("Mine.")
    intercept(page, SUBMIT, lambda route: route.abort())
    page.keyboard.press("Control+Enter")
    expect(page.locator("#unsent")).to_contain_text("Not sent yet.")
    expect(page.locator(".editor")).to_have_count(0)
    page.unroute_all()
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    assert {chosen for chosen, _ in pairs()} >= {"Mine."}


def test_undo_gives_the_text_back(judge_page, comparisons):
    comparisons(2)
    page = judge_page()
    ahead_is_here(page)
    page.keyboard.press("e")
    page.keyboard.press("2")
    text(page).fill("Mine.")
    page.keyboard.press("Control+Enter")
    expect(receipt(page)).to_contain_text("your text > answer 2")
    page.keyboard.press("u")
    expect(receipt(page)).to_contain_text("Taken back: choose again.")
    assert not pairs()
    page.keyboard.press("e")
    page.keyboard.press("2")
    expect(text(page)).to_have_value("Mine.")
    text(page).fill("Mine, and better.")
    page.keyboard.press("Control+Enter")
    expect(receipt(page)).to_contain_text("your text > answer 2")
    assert {chosen for chosen, _ in pairs()} >= {"Mine, and better."}
    assert set(Revision.objects.exclude(edit=None).values_list("edit__text", flat=True)) == {
        "Mine.",
        "Mine, and better.",
    }


def test_an_earlier_one_is_edited_again(judge_page, comparisons):
    comparisons(1)
    page = judge_page()
    page.keyboard.press("e")
    page.keyboard.press("1")
    text(page).fill("Mine.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator(".mine > li")).to_contain_text("Your text: Mine.")
    page.locator(".mine > li").get_by_role("link").click()
    expect(page.get_by_role("button", name="Edit")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(text(page)).to_have_value("Mine.")
    page.keyboard.press("End")
    page.keyboard.type(" Now better.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Your last judgements")).to_be_visible()
    expect(page.locator(".mine > li")).to_contain_text("Your text: Mine. Now better.")
    expect(page.locator(".mine > li")).to_contain_text("said 2 times")


def test_it_stands_above_the_line_of_a_ranking(judge_page, project, comparisons):
    project.mode = "rank"
    comparisons(2, answers=3)
    page = judge_page()
    ahead_is_here(page)
    for key in ("3", "1", "=", "2"):
        page.keyboard.press(key)
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(page.get_by_text("Counts as: your text > 3 > 1 = 2")).to_be_visible()
    text(page).fill("Mine.")
    page.keyboard.press("Tab")
    page.keyboard.press("Backspace")  # beside the text it changes no line
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+Enter")
    expect(receipt(page)).to_contain_text("· your text > 3 > 1 = 2")
    page.keyboard.press("3")  # of the next one, which then is half placed
    page.keyboard.press("e")
    page.keyboard.press("1")
    expect(page.get_by_text("Counts as: your text > answer 1 > the others")).to_be_visible()
    text(page).fill("Mine again.")
    page.keyboard.press("Control+Enter")
    expect(receipt(page)).to_contain_text("· your text > answer 1")
    assert PreferencePair.objects.filter(chosen__text__startswith="Mine").count() == 6


def test_on_a_phone(judge_page, comparisons):
    comparisons(2)
    page = judge_page(**PHONE)
    ahead_is_here(page)
    page.get_by_role("button", name="Edit").tap()
    page.get_by_role("link", name="Edit answer 2").tap()
    expect(text(page)).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = page.locator(".editor .writing").bounding_box(), page.locator(".editor .changed").bounding_box()
    assert right["y"] >= left["y"] + left["height"]  # one under the other
    text(page).fill("Mine.")
    page.get_by_role("button", name="Save").tap()
    expect(page.locator(".tally")).to_contain_text("1 today")
    assert {chosen for chosen, _ in pairs()} >= {"Mine."}


def test_hostile_words_do_nothing_in_the_editor(judge_page, add_prompts, sampled):
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    (prompt,) = add_prompts("Hello?")
    sampled({prompt: [attack, f"{attack} again"]})
    page = judge_page()
    page.keyboard.press("e")
    page.keyboard.press("1")
    text(page).fill(f"{attack} and \u202e more")
    expect(page.get_by_text("What you changed:")).to_be_visible()
    assert page.locator(".editor img, .editor script").count() == 0
    assert "owned" not in page.title()


def test_long_answers_are_compared_by_lines_or_not_at_all(judge_page, add_prompts, sampled):
    (prompt,) = add_prompts("Hello?")
    lines = "\n".join(f"{number} " + "word " * 40 for number in range(300))
    sampled({prompt: [lines, "short"]})
    page = judge_page()
    page.keyboard.press("e")
    page.keyboard.press("1" if len(answers(page)[0]) > 10 else "2")
    expect(text(page)).to_be_focused()
    text(page).fill(text(page).input_value().replace("200 word", "200 another"))
    expect(page.locator(".editor .text ins")).to_have_count(1)
    assert page.locator(".editor .text ins").text_content().strip()[:16] == "200 another word"


def test_without_javascript(judge_page, comparisons):
    comparisons()
    page = judge_page(java_script_enabled=False)
    shown = answers(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("link", name="Edit answer 1").click()
    expect(text(page)).to_have_value(shown[0])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_text("You changed nothing in answer 1. Change it, or choose it as it is.")
    text(page).fill("Mine.")
    page.get_by_role("button", name="Save").click()
    expect(receipt(page)).to_contain_text("· your text > answer 1")
    assert {chosen for chosen, _ in pairs()} == {"Mine.", shown[0]}


def test_the_first_view_does_not_fetch_the_editor(judge_page, comparisons):
    comparisons()
    page = judge_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if re.search(r"edit|diff", url)]
    assert len(asked) < 10
