r"""Texts that mean harm, in families: one file each beside this one, and those too large to be written down.

In the files `=== name` begins a case, and \u{202E} stands for the character of that number. To add a case, write it
there: it is then shown on the judge page, in a browser, and rendered alone.
"""

import re
from pathlib import Path

FAMILIES = sorted(Path(__file__).parent.glob("*.md"))
GIANTS = {
    "a megabyte of words": "long " * 200_000,
    "a megabyte without a space": "w" * 1_000_000,
    "a megabyte of accents": "o" + "\u0334" * 500_000,
    "a megabyte of overrides": "a\u202e" * 250_000,
    "ten thousand nested quotes": ">" * 10_000 + " deep",
    "ten thousand nested lists": "- " * 10_000 + "deep",
    "ten thousand tags": "<b>" * 10_000,
    "brackets": "[" * 39_000,
    "emphasis": "*a _b " * 6_000,
    "a wide table": "|" + "a|" * 5_000 + "\n|" + "-|" * 5_000 + "\n|" + "b|" * 5_000,
    "formulas": "$x^2$ " * 6_000,
    "a deep formula": "$" + "{" * 900 + "x" + "}" * 900 + "$ $$" + r"\sqrt" * 300 + " x$$",
    "tall formulas": (r"$$\begin{align}" + r"\\" * 900 + "x" + r"\end{align}$$" + "\n\n") * 15,
    "a long line of code": "```python\n" + "x = [" * 6_000 + "\n```",
}


def cases(family: Path) -> dict[str, str]:
    """Return the family's texts by name."""
    found = {}
    for case in re.split(r"^=== ", family.read_text(), flags=re.MULTILINE)[1:]:
        name, text = case.split("\n", 1)
        found[name] = re.sub(r"\\u\{(\w+)\}", lambda number: chr(int(number[1], 16)), text.removesuffix("\n"))
    return found


# What may come of them. Written down here once more, so that a change of the product's list is a change of this one.
HTML = """
    a bdi blockquote br code div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul
"""
ATTRIBUTES = "aria-label class dir href rel role scope start tabindex target title"
MATHML = """
    math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup
    mtable mtd mtext mtr munder munderover
"""
MATHML_ATTRIBUTES = """
    accent accentunder class columnspan display displaystyle fence form largeop linethickness lspace mathvariant maxsize
    minsize movablelimits notation rspace scriptlevel stretchy symmetric width
"""
