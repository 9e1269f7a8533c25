"""The two files of the font for formulas: winnow.css, their lists of characters and what is written agree."""

import re
from html import unescape

import pytest

from projects.mathematics import to_mathml
from tests.stack import ROOT

FONTS = ROOT / "static" / "fonts"
COMMON = [
    r"\sum_{i=1}^{n} i^2 = \frac{n(n+1)(2n+1)}{6} \le \infty",
    r"\int_0^1 \sqrt{x}\,dx \ne \prod_k \left\{\frac{a}{b}\right\}",
    r"\begin{pmatrix}1 & 2\\ 3 & 4\end{pmatrix} \cdot \vec{v} \in \mathbb{R}^2",
    r"f(x) = \begin{cases}x & \text{if } x > 0\\ 0 & \text{otherwise}\end{cases}",
    r"\beta\log\frac{\pi_\theta(y_w\mid x)}{\pi_{\mathrm{ref}}(y_w\mid x)} - \hat{\mu} \to \overline{AB}",
]
RARE = [
    r"\mathcal{L} \mathfrak{g} \mathbb{E} \mathbf{x} \mathsf{A} \mathtt{a}",
    r"\oiint \lesssim \bigodot \curvearrowleft \boldsymbol{\Sigma} \supsetneqq",
]


def characters(ranges: str) -> set[int]:
    """Return the code points of ranges as CSS and pyftsubset write them: U+20-21, U+25."""
    found = set()
    for first, last in re.findall(r"U\+([0-9A-F]+)(?:-([0-9A-F]+))?", ranges):
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def listed(name: str) -> set[int]:
    return characters((FONTS / f"stix-two-math-{name}.txt").read_text())


def written(latex: str) -> set[int]:
    mathml = to_mathml(latex, display=True)
    assert mathml, f"{latex} is not understood"
    return {ord(character) for character in unescape(re.sub("<[^>]*>", "", mathml)) if not character.isspace()}


def test_the_stylesheet_names_what_the_common_file_has():
    face = re.search(
        r"stix-two-math-common\.woff2.*?unicode-range:(.*?);", (ROOT / "static/winnow.css").read_text(), re.S
    )
    assert characters(face[1]) == listed("common")


@pytest.mark.parametrize("latex", COMMON)
def test_the_common_file_is_enough_for_most_formulas(latex):
    assert written(latex) <= listed("common")


@pytest.mark.parametrize("latex", RARE)
def test_the_rare_file_has_the_rest(latex):
    assert written(latex) <= listed("common") | listed("rare")
    assert written(latex) - listed("common")


def test_single_letters_are_there_as_the_browser_shows_them():
    """Browsers show a letter alone in <mi> as its mathematical italic."""
    italics = {*range(0x1D434, 0x1D468), *range(0x1D6FC, 0x1D715)} - {0x1D455, 0x1D70A, 0x1D70D}
    assert italics | {0x210E} <= listed("common")
