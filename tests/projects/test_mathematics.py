r"""Formulas become MathML and nothing else; what only looks like a formula stays text."""

import re
import threading
import time
from html import unescape

import pytest

from projects.markdown import MOST_CHARACTERS, render
from projects.mathematics import DEEPEST, ELEMENTS, MOST_MATHML, to_mathml


def words(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


def test_it_works():
    assert render(r"So $x^2$ it is.") == (
        '<p dir="auto">So <math><msup><mi>x</mi><mn>2</mn></msup></math> it is.</p>\n'
    )


@pytest.mark.parametrize(
    "text", ["$x$", r"\(x\)", "a ($x$), b", "the $x$th", "**$x$**", "- $x$", "| $x$ |\n|-|", "中$x$文"]
)
def test_in_a_line(text):
    assert "<math><mi>x</mi></math>" in render(text)


@pytest.mark.parametrize(
    "text",
    [
        "$$x$$",
        r"\[x\]",
        "$$\nx\n$$",
        "\\[\n x\n\\]",
        "see\n$$\nx\n$$\nthere",
        "see $$x$$ there",
        "> $$\n> x\n> $$",
        "- a\n  $$\n  x\n  $$",
    ],
)
def test_displayed(text):
    html = render(text)
    assert re.search(
        r'<(div|span) class="wide formula" tabindex="0" role="group" aria-label="Formula"><math display', html
    )
    assert "<mi>x</mi>" in html
    assert "$" not in html


@pytest.mark.parametrize(("latex", "arrow"), [(r"a \iff b", "⟺"), (r"a\implies b", "⟹"), (r"a \impliedby b", "⟸")])
def test_arrows_between_statements(latex, arrow):
    html = render(f"${latex}$")
    assert f">{arrow}</mo>" in html
    assert "<mi>a</mi>" in html and "<mi>b</mi>" in html


def test_a_line_break_before_iff_is_no_arrow():
    html = render(r"$$\begin{aligned} a \\iff b \end{aligned}$$")
    assert "<mi>i</mi><mi>f</mi><mi>f</mi>" in html


def test_a_formula_is_no_list_and_no_heading():
    html = render("$$\n\\begin{aligned}\na\n- b\n= c\n---\n\\end{aligned}\n$$")
    assert "<math" in html
    assert "<li>" not in html and "<h3" not in html


def test_an_environment_alone():
    html = render("So\n\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}\nholds.")
    assert html.count("<mtr>") == 2
    assert '<mtd class="right"><mi>a</mi></mtd><mtd class="left"><mo>=</mo><mi>b</mi></mtd>' in html


def test_a_long_one_in_a_line_can_be_scrolled():
    html = render(f"So ${'+'.join('abcdefghijklmnopqrstuvwxyz')}$.")
    assert '<span class="wide formula inline" tabindex="0" role="group" aria-label="Formula"><math>' in html


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "$5-$10",
        "from $5, $6 to $7.",
        "$5/$10",
        "US$5 or CA$7",
        "$ x $",
        "$x $",
        "$HOME/bin:$PATH",
        "${A}/${B}",
        r"\$x\$",
        "$",
        "$$",
        "$$$$",
        "$$ $$",
        r"\(\)",
        "costs $5 in `US$`",
        r"\\(x\\)",
        "$a\n\nb$",
    ],
)
def test_what_is_no_formula_stays_text(text):
    html = render(text)
    assert "<math" not in html
    assert "$" in html or "(" in html


@pytest.mark.parametrize("text", ["`$x$`", "```\n$x$\n```", "    $x$", "```latex\n$$x$$\n```", "`` \\(x\\) ``"])
def test_code_stays_code(text):
    assert "<math" not in render(text)
    assert "<code>" in render(text)


@pytest.mark.parametrize(
    "latex",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\url{https://evil.example}",
        r"\html{<b>}",
        r"\htmlClass{judge}{x}",
        r"\class{judge}{x}",
        r"\style{position:fixed}{x}",
        r"\cssId{bar}{x}",
        r"\unicode{x202e}",
        r"\includegraphics{https://evil.example/a.png}",
        r"\def\a{\a\a}\a",
        r"\newcommand{\a}{b}\a",
        r"\let\a=b\a",
        r"\color{red;position:fixed}{x}",
        r"\nonsense",
        "{" * (DEEPEST + 1) + "x" + "}" * (DEEPEST + 1),
        r"\sqrt" * (DEEPEST + 1) + " x",
        "x" * 2_001,
        "x_1_2",
        r"\frac{1}",
    ],
)
def test_what_is_not_understood_or_too_much_stays_as_it_was_written(latex):
    html = render(f"a ${latex}$ b")
    assert "<math" not in html
    assert words(html) == f"a ${latex}$ b\n"
    assert "<math" not in render(f"$$\n{latex}\n$$")
    assert words(render(f"$$\n{latex}\n$$")) == f"$$\n{latex}\n$$\n"


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<img src=x onerror=alert(1)>}",
        r"\text{</mtext></math><script>alert(1)</script>}",
        r"\operatorname{<script>}",
        r"x<script>alert(1)</script>",
        r"\hspace{-99em}x\kern-50em y\hspace{99em}",
        r"\color{red}{x}\textcolor{#ff0000}{y}",
        r"\begin{array}{c|c}a&b\\\hline c&d\end{array}",
        r"\begin{equation}x\tag{\text{<b>}}\end{equation}",
        r"\begin{equation}x\label{work}\end{equation}",
        r"\phantom{x}\mathllap{y}\smash{z}",
    ],
)
def test_only_harmless_mathml_comes_out(latex):
    html = to_mathml(latex, display=True)
    if html is None:  # not every version knows every command
        return
    assert set(re.findall(r"</?([\w-]+)", html)) <= set(ELEMENTS)
    assert not re.search(r"\s(style|href|id|on\w+|src)=", html)
    assert not re.search(r'"-|"\d\d', html)


def test_deep_formulas_leave_the_process_alive():
    """Unbounded, the converter would run out of this thread's stack, and the web server would die."""
    found = []

    def convert() -> None:
        for piece in (
            "{",
            "x^{",
            r"\sqrt{",
            r"\left(",
            r"\not",
            r"\hat ",
            r"\sqrt[",
            r"\frac1",
            r"\begin{cases}",
            r"\text{",
        ):
            found.append(to_mathml((piece * 2_000)[:2_000], display=True))

    before = threading.stack_size(1 << 20)
    thread = threading.Thread(target=convert)
    thread.start()
    thread.join()
    threading.stack_size(before)
    assert len(found) == 10


def test_a_text_full_of_formulas_stays_bounded():
    formula = r"$\begin{align}" + r"\\" * 900 + r"\end{align}$ "
    text = (formula * 30)[:MOST_CHARACTERS]
    started = time.thread_time()
    html = render(text)
    assert time.thread_time() - started < 1
    assert len(html) < 3 * MOST_MATHML
    assert r"\begin{align}" in html  # those for which there was no room
    assert "<math>" in html
