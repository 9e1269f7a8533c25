"""The corpus of attacks, rendered: nothing comes out but what is allowed. tests/annotate has it in a browser."""

import time
from html.parser import HTMLParser

import pytest

from projects.markdown import render
from tests.attacks import corpus

CASES = {f"{family.stem}: {name}": text for family in corpus.FAMILIES for name, text in corpus.cases(family).items()}


class Elements(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def check(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag in (corpus.HTML + corpus.MATHML).split()
        known = corpus.ATTRIBUTES if tag in corpus.HTML.split() else corpus.MATHML_ATTRIBUTES
        assert set(attributes) <= set(known.split())
        if "href" in attributes:
            assert attributes["href"].startswith(("https://", "http://", "mailto:"))
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert attributes["target"] == "_blank"


def test_there_are_enough_of_them():
    assert len(CASES) >= 100


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_attacks_are_inert(text):
    html = render(f"{text}\n\nafter it")
    check(html)
    assert "after it" in html


@pytest.mark.parametrize("text", corpus.GIANTS.values(), ids=corpus.GIANTS)
def test_giants_take_less_than_a_second(text):
    started = time.thread_time()
    html = render(text)
    assert time.thread_time() - started < 1
    assert len(html) < 2_500_000
    check(html)
