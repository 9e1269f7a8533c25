"""Characters that turn the direction of text are seen, stay where they are and keep their words."""

import re
from html import unescape

import pytest

from projects.controls import MARKS, MOST, TURNS, visible, written
from projects.markdown import render


def words(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


def test_it_works():
    assert visible("jpg\u202eexe <b>") == 'jpg<bdi class="control" title="RLO">\u202e</bdi>exe &lt;b&gt;'


def test_marks_keep_their_effect():
    assert visible("a\u200fb") == 'a<bdi class="control tick" title="RLM"></bdi>\u200fb'


@pytest.mark.parametrize("character", [*MARKS, *TURNS], ids=[*MARKS.values(), *TURNS.values()])
@pytest.mark.parametrize(
    "text", ["a{}b", "`a{}b`", "```\na{}b\n```", "```python\n'a{}b'\n```", "# a{}b", "|a{}b|\n|-|"]
)
def test_each_is_seen_wherever_it_is_written(character, text):
    html = render(text.format(character))
    assert f'title="{(MARKS | TURNS)[character]}"' in html
    assert f"a{character}b" in words(html)


def test_each_is_seen_in_what_is_too_long_to_be_formatted():
    text = "a\u202eb" + " long" * 10_000
    assert '<bdi class="control" title="RLO">' in render(text)
    assert words(render(text)).endswith(text)


def test_so_many_that_nobody_reads_them_do_not_swell_the_page():
    text = "a\u202e" * 500_000
    assert len(visible(text)) == len(text)
    assert "<bdi" not in written(text)
    assert visible("\u202e" * MOST).count("<bdi") == MOST


@pytest.mark.parametrize(
    "text",
    [
        "مرحبا بالعالم",
        "שלום עולם 5 > 3",
        "نیم\u200cفاصله",  # Persian needs the zero-width non-joiner
        "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽 🇩🇪 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "Ｆｕｌｌ ｗｉｄｔｈ",
        "Z̴̢̛a̸l̵g̴o̸",
        "zero\u200bwidth\ufeff",
    ],
)
def test_scripts_and_emoji_stay_whole(text):
    assert text in words(render(text))
    assert "<bdi" not in render(text)


def test_each_block_has_the_direction_of_its_own_words():
    html = render("abc\n\nשלום\n\n- ب\n\n> ب\n\n# ب\n\n|ب|\n|-|\n\n```\nب\n```")
    assert re.findall(r'<(\w+)(?: class="wide")? dir="auto"', html) == ["p", "p", "ul", "blockquote", "h3", "div"]
    assert '<pre dir="ltr"' in html


def test_what_no_page_can_hold_is_replaced():
    assert render("a\ud800\x00b") == '<p dir="auto">a\ufffd\ufffdb</p>\n'


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", []),
        ("\n", ["\n"]),
        ("a <b>\nc", ["c"]),
        ("line\n" * 5_000, ["\n", "\n", "\n"]),
        ("long " * 5_000, [" ", " ", " "]),
        ("w" * 25_000, ["w", "w", "w"]),
        ("a\u202e" + "w" * 10_000, ["w", "w"]),
    ],
)
def test_a_long_text_comes_in_parts_and_whole(text, ends):
    html = written(text)
    assert words(html) == text
    assert [unescape(part)[-1] for part in re.findall('<span class="part">(.*?)</span>', html, re.DOTALL)] == ends
