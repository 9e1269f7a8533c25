"""What people and models write becomes HTML that is safe, readable and whole."""

import re
import time
from html import unescape

import pytest
from django.template import Context, Template

from projects.markdown import DEEPEST, LANGUAGES, MOST_CHARACTERS, render

MARK = "what-it-says"


def words(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


def test_it_works():
    assert render("Some *plain* **text** with ~~old~~ `code`.") == (
        '<p dir="auto">Some <em>plain</em> <strong>text</strong> with <s>old</s> <code>code</code>.</p>\n'
    )


def test_it_is_a_filter():
    template = Template("{% load winnow %}{{ text|markdown }}")
    assert template.render(Context({"text": "a < b & *c*"})) == '<p dir="auto">a &lt; b &amp; <em>c</em></p>\n'


def test_lines_end_where_they_were_ended():
    assert render("roses are red\nviolets are blue") == '<p dir="auto">roses are red<br>\nviolets are blue</p>\n'


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("# a\n## b\n### c", ["h3", "h4", "h5"]),
        ("### a\n# b", ["h3", "h3"]),
        ("# a\n#### b\n## c\n# d", ["h3", "h4", "h4", "h3"]),
        ("# 1\n## 2\n### 3\n#### 4\n##### 5\n###### 6", ["h3", "h4", "h5", "h6", "h6", "h6"]),
        ("title\n===\nsection\n---", ["h3", "h4"]),
    ],
)
def test_headings_start_at_h3_and_skip_no_level(text, tags):
    assert re.findall(r"<(h\d) ", render(text)) == tags


def test_code_is_coloured_by_classes_and_keeps_every_character():
    code = 'def f(x):\n\n    return "<b>"  # why\n'
    html = render(f"```python\n{code}```")
    assert (
        '<pre dir="ltr" tabindex="0" role="group" aria-label="Code, Python"><code><span class="hl-keyword">def</span>'
        in html
    )
    assert '<span class="hl-string">"&lt;b&gt;"</span>  <span class="hl-comment"># why</span>' in html
    assert words(html) == code + "\n"


@pytest.mark.parametrize("info", ["", "klingon", 'x"onload="alert(1)', "text/html onclick"])
def test_code_in_no_known_language_has_no_colours(info):
    assert render(f"```{info}\n<b>\n```") == (
        '<pre dir="ltr" tabindex="0" role="group" aria-label="Code"><code>&lt;b&gt;\n</code></pre>\n'
    )


def test_indented_code_has_a_name_too():
    assert '<pre dir="ltr" tabindex="0" role="group" aria-label="Code"><code>x\n' in render("    x")


def test_a_table_can_be_scrolled_by_keys_and_is_aligned_by_classes():
    html = render("a|b|c|d\n-|:-|:-:|-:\n1|2|3|4")
    assert html.startswith('<div class="wide" dir="auto" tabindex="0" role="group" aria-label="Table"><table>')
    assert '<th scope="col">a</th>\n<th scope="col" class="left">b</th>' in html
    assert '<td class="center">3</td>\n<td class="right">4</td>' in html


def test_links_go_to_the_web_or_a_mailbox():
    html = render('[a](https://b.example "t") <http://c.example> <d@e.example>')
    assert html == (
        '<p dir="auto"><a href="https://b.example" title="t" target="_blank" rel="noopener noreferrer nofollow">a</a> '
        '<a href="http://c.example" target="_blank" rel="noopener noreferrer nofollow">http://c.example</a> '
        '<a href="mailto:d@e.example" target="_blank" rel="noopener noreferrer nofollow">d@e.example</a></p>\n'
    )


def test_an_image_becomes_its_description_and_a_link():
    assert render("![a *cat*](http://b.example/c.png)") == (
        '<p dir="auto">a cat (<a href="http://b.example/c.png" target="_blank" rel="noopener noreferrer nofollow">http://b.example/c.png</a>)</p>\n'
    )


def test_an_image_in_a_link_leaves_the_link_whole():
    assert render("[![cat](http://b.example/c.png)](http://d.example)") == (
        '<p dir="auto"><a href="http://d.example" target="_blank" rel="noopener noreferrer nofollow">cat (http://b.example/c.png)</a></p>\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        MARK + " long " * 170_000,
        ">" * 10_000 + MARK,
        "- " * (DEEPEST + 1) + MARK,
        "[" * 39_000 + MARK,
        "![" * 19_000 + MARK,
        MARK + "<" * 1_000_000,
    ],
    ids=["a megabyte", "ten thousand quotes", "deep lists", "brackets", "images", "a megabyte of tags"],
)
def test_what_is_too_much_is_shown_as_it_was_written(text):
    started = time.thread_time()
    html = render(text)
    assert time.thread_time() - started < 1
    assert 'class="written"' in html
    assert text in words(html)


@pytest.mark.parametrize(
    "piece",
    [
        "*a _b ",
        "a**b",
        "~~a ",
        "a\n",
        "_a__b_",
        "<a ",
        "&",
        "`a",
        "<!--",
        "[a](<b> ",
        "|a|b\n",
        "> - ",
        "![a](http://b) ",
        "$x$ ",
        "$a ",
        "$$a\n",
        "$\\$",
        "\\(",
        "\\[\n",
        "\\begin{align}\n",
        "$'$ ",
        "\u202e",
        "a\u202e",
    ],
)
def test_what_is_just_short_enough_does_not_take_long(piece):
    text = (piece * MOST_CHARACTERS)[:MOST_CHARACTERS]
    started = time.thread_time()
    render(text)
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("language", ["c", "java", "scala", "ini", "makefile"])
@pytest.mark.parametrize("piece", ["(", "\n", "a=b ", "a.", "@"])
def test_colouring_gives_up_on_code_made_to_be_slow(language, piece):
    assert language in LANGUAGES.split()
    code = (piece * 9_000)[:9_000]
    started = time.thread_time()
    html = render(f"```{language}\n{code}\n```")
    assert time.thread_time() - started < 1.5
    assert words(html).strip() == code.strip()


def test_all_that_is_nested_less_deeply_is_formatted():
    html = render("> " * (DEEPEST - 2) + MARK)
    assert html.count("<blockquote") == DEEPEST - 2
    assert MARK in html
