"""Two answers on request: which words the one has and the other has not."""

import random
from pathlib import Path

import pytest
from playwright.sync_api import Page

from projects.markdown import render

STATIC = Path(__file__).resolve().parents[2] / "static"
pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser):
    """A page of nothing but two texts, and the static files."""
    page = browser.new_page()
    page.route(
        "http://files/**", lambda route: route.fulfill(path=STATIC / route.request.url.removeprefix("http://files/"))
    )
    page.route("http://files/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://files/")
    yield page
    page.close()


def show(page: Page, first: str, second: str) -> None:
    page.set_content(f'<div class="md" id="a">{first}</div><div class="md" id="b">{second}</div>')


def call(page: Page, function: str):
    return page.evaluate(f"import('/differences.js').then(module => module.{function}(a, b))")


def marked(page: Page, element: str) -> list[str]:
    return page.locator(f"#{element} mark").all_text_contents()


def test_it_works(page):
    show(page, render("The quick brown fox **jumps** over."), render("The quick red fox **leaps** over."))
    assert call(page, "mark") == "words"
    assert marked(page, "a") == ["brown", "jumps"]
    assert marked(page, "b") == ["red", "leaps"]


def test_what_is_alike_has_no_marks(page):
    show(page, render("Same *words* `here`."), render("**Same** words\n\nhere."))
    call(page, "mark")
    assert marked(page, "a") == marked(page, "b") == []


@pytest.mark.parametrize(
    ("first", "second", "left", "right"),
    [
        ("one two three four", "one four", ["two three"], []),
        ("```python\nx = 1\n```", "```python\nx = 2\n```", ["1"], ["2"]),
        ("|a|b|\n|-|-|\n|1|2|", "|a|b|\n|-|-|\n|1|3|", ["2"], ["3"]),
        ("So $x^2$ is", "So $x^3$ is", ["x2"], ["x3"]),
        ("我喜欢猫", "我喜欢狗", ["猫"], ["狗"]),
        ("سلام دنیا", "سلام زمین", ["دنیا"], ["زمین"]),
        ("a 👩\u200d👩\u200d👧 b", "a 👩\u200d👩\u200d👦 b", ["👩\u200d👩\u200d👧"], ["👩\u200d👩\u200d👦"]),
        ("<b>x</b> <script>", "<b>y</b> <script>", ["x"], ["y"]),
        ("", "all new", [], ["all new"]),
    ],
)
def test_it_finds(page, first, second, left, right):
    show(page, render(first), render(second))
    assert call(page, "mark") == "words"
    assert marked(page, "a") == left
    assert marked(page, "b") == right


def test_without_marks_everything_is_as_it_was(page):
    first = render(
        "# A\n\nOne *two* `three` $x^2$\n\n```python\ndef f(): return 1\n```\n- a [b](http://c.example)\n\n|a|\n|-|\n|b|"
    )
    second = render("# B\n\nOne **other** $y$\n\n```python\ndef g(): return 2\n```\n- [d](http://c.example) e")
    show(page, first, second)
    nodes = """[...document.querySelectorAll('.md')].map(element => {
        const walker = document.createTreeWalker(element), found = []
        while (walker.nextNode()) found.push(walker.currentNode.nodeName + (walker.currentNode.data ?? ''))
        return found.join('|')
    })"""
    before = page.evaluate(nodes)
    call(page, "mark")
    assert page.locator("mark").count() > 5
    call(page, "mark")  # twice is once
    assert page.locator("mark mark").count() == 0
    assert page.locator("math mark").count() == 0
    call(page, "unmark")
    assert page.evaluate(nodes) == before


def text_of(words: int, seed: int, new: float) -> tuple[str, str]:
    """Return a text, and one in which this share of the words is another."""
    draw = random.Random(seed)
    one = [f"word{draw.randrange(2000)}" for _ in range(words)]
    two = [f"other{draw.randrange(2000)}" if draw.random() < new else word for word in one]
    sentences = [". ".join(" ".join(text[i : i + 20]) for i in range(0, words, 20)) for text in (one, two)]
    return sentences[0], sentences[1]


@pytest.mark.parametrize(("new", "compared"), [(0.02, "words"), (0.3, "words"), (1, "sentences")])
def test_five_thousand_words_take_a_moment(page, new, compared):
    show(page, *(f"<p>{text}</p>" for text in text_of(5_000, 1, new)))
    call(page, "unmark")  # loads the module
    started = page.evaluate("performance.now()")
    assert call(page, "mark") in (compared, "sentences")
    took = page.evaluate("performance.now()") - started
    assert took < 1_500  # milliseconds; 900 on two cores, with room for a busy machine
    assert page.locator("mark").count()


def test_what_is_too_long_is_left_alone(page):
    for first, second in (("a. B " * 100_000, "c. D " * 100_000), ("Is it? " * 20_000, "It is. " * 20_000)):
        show(page, f"<p>{first}", f"<p>{second}")
        assert call(page, "mark") is False
        assert page.locator("mark").count() == 0
