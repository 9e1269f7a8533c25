r"""Mathematics in Markdown, as MathML: $…$, $$…$$, \(…\) and \[…\].

The formulas are as hostile as the text around them. math-core turns LaTeX into MathML Core, which browsers show by
themselves. It knows no commands for links, styles or HTML, it is kept from expanding macros, and what it writes passes
an allow-list that holds MathML and nothing else.
"""

import re

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from math_core import LatexError, LatexToMathML

CLOSING = {"$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
DISPLAYED = ("$$", r"\[")
# On lines of their own these need no marks around them, and are part of the formula themselves.
ENVIRONMENTS = {
    f"\\begin{{{name}{star}}}": f"\\end{{{name}{star}}}"
    for name in ("align", "alignat", "equation", "gather", "multline")
    for star in ("", "*")
}

# Beyond these a formula stays as it was written. The converter calls itself for what is nested, on the thread's stack.
MOST_CHARACTERS = 2_000
DEEPEST = 30
MOST_MATHML = 300_000  # characters, in one text

SPACING = {"lspace", "rspace"}
STYLING = {"displaystyle", "scriptlevel"}
ELEMENTS = {
    "math": {"display"},
    "menclose": {"notation"},
    "merror": set(),
    "mfrac": {"linethickness"},
    "mi": {"mathvariant"},
    "mmultiscripts": set(),
    "mn": set(),
    "mo": SPACING | {"form", "fence", "largeop", "maxsize", "minsize", "movablelimits", "stretchy", "symmetric"},
    "mover": {"accent"},
    "mpadded": set(),
    "mphantom": set(),
    "mprescripts": set(),
    "mroot": set(),
    "mrow": STYLING,
    "mspace": {"width"},
    "msqrt": set(),
    "mstyle": STYLING,
    "msub": set(),
    "msubsup": set(),
    "msup": set(),
    "mtable": STYLING,
    "mtd": {"columnspan"},
    "mtext": set(),
    "mtr": set(),
    "munder": {"accentunder"},
    "munderover": {"accent", "accentunder"},
}
# The converter writes styles, which our pages do not allow. Those that carry meaning become classes.
CLASSES = {
    "text-align: left": "left",
    "text-align: right": "right",
    "border-left": "line-left",
    "border-right": "line-right",
    "border-top": "line-top",
    "border-bottom": "line-bottom",
}
ALLOWED_CLASSES = {"mtd": set(CLASSES.values())}
# Keywords, small counts, and lengths too short to reach out of the column: nothing negative.
VALUE = re.compile(r"[a-z ]{1,60}|\d{1,2}|[0-3]?(\.\d+)?r?em")


def allowed(element: str, attribute: str, value: str) -> str | None:
    """Return an attribute's value if it is harmless. For nh3's `attribute_filter`; other elements' are left alone."""
    return value if attribute == "class" or element not in ELEMENTS or VALUE.fullmatch(value) else None


# math-core takes these for macros, which are refused.
ARROWS = {"iff": "Longleftrightarrow", "implies": "Longrightarrow", "impliedby": "Longleftarrow"}
COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
CONVERTER = LatexToMathML(fancy_error=False, max_expansions=0)
CLEANER = nh3.Cleaner(
    tags=set(ELEMENTS), attributes=ELEMENTS, allowed_classes=ALLOWED_CLASSES, attribute_filter=allowed, link_rel=None
)


def to_mathml(latex: str, *, display: bool) -> str | None:
    """Return the formula as clean MathML, or None if it is too much, too deep or not understood."""
    if len(latex) > MOST_CHARACTERS or _depth(latex, r"\\.|[{}]", "{", "}") > DEEPEST:
        return None
    try:
        mathml = CONVERTER.convert_with_local_state(COMMAND.sub(_spelled_out, latex), displaystyle=display)
    except LatexError:
        return None
    if _depth(mathml, r"<[^>]*/>|</?", "<", "</") > DEEPEST:
        return None
    return CLEANER.clean(re.sub(r' style="([^"]*)"', _style_as_classes, mathml))


def _depth(text: str, pieces: str, opening: str, closing: str) -> int:
    """Return how deeply `opening` and `closing` are nested, of all that the pattern `pieces` finds."""
    depth = deepest = 0
    for piece in re.findall(pieces, text, re.DOTALL):
        depth += (piece == opening) - (piece == closing)
        deepest = max(deepest, depth)
    return deepest


def _spelled_out(command: re.Match[str]) -> str:
    return rf"\;\{ARROWS[command[1]]}\;" if command[1] in ARROWS else command[0]


def _style_as_classes(style: re.Match[str]) -> str:
    names = " ".join(name for property_, name in CLASSES.items() if property_ in style[1])
    return f' class="{names}"'


def add_rules(parser: MarkdownIt) -> None:
    """Let the parser make tokens `math_inline` and `math_block`: `markup` is what opens them, `content` the LaTeX."""
    parser.inline.ruler.before("escape", "math_inline", _inline)
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "math_block", _block, {"alt": interrupts})


def as_written(token: Token) -> str:
    """Return what the token was made of."""
    return f"{token.markup}{token.content}{CLOSING.get(token.markup, '')}"


def _opening(source: str, position: int, marks: tuple[str, ...]) -> str | None:
    return next((mark for mark in marks if source.startswith(mark, position)), None)


def _find_end(source: str, closing: str, start: int, stop: int) -> int:
    """Return where the formula ends that starts at `start`, or -1 if none does.

    A mark after a backslash closes nothing.
    """
    stop = min(stop, start + MOST_CHARACTERS)
    end = source.find(closing, start, stop)
    while end >= 0 and _is_escaped(source, end):
        end = source.find(closing, end + 1, stop)
    return end if source[start : max(start, end)].strip() else -1


def _is_escaped(source: str, position: int) -> bool:
    start = position
    while start > 0 and source[start - 1] == "\\":
        start -= 1
    return (position - start) % 2 == 1


def _inline(state: StateInline, silent: bool) -> bool:
    source, position = state.src, state.pos
    opening = _opening(source, position, tuple(CLOSING))
    if not opening:
        return False
    start = position + len(opening)
    end = _find_end(source, CLOSING[opening], start, state.posMax)
    if end < 0 or (opening == "$" and not _is_no_price(source, start, end)):
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content, token.markup = source[start:end], opening
    state.pos = end + len(CLOSING[opening])
    return True


def _is_no_price(source: str, start: int, end: int) -> bool:
    """Return whether single dollars hold a formula, and are no prices, shell variables or parts of code."""
    before, after = source[: start - 1][-1:], source[end + 1 : end + 2]
    inside = source[start:end]
    return not (
        inside != inside.strip()
        or "`" in inside
        or re.match(r"\{\w+\}", inside)
        or re.match(r"[0-9A-Za-z_$]", before)
        or re.match(r"[0-9A-Z_{$]", after)
    )


def _block(state: StateBlock, line: int, end_line: int, silent: bool) -> bool:
    source, position = state.src, state.bMarks[line] + state.tShift[line]
    opening = _opening(source, position, (*DISPLAYED, *ENVIRONMENTS))
    if not opening or state.is_code_block(line):
        return False
    closing = (CLOSING | ENVIRONMENTS)[opening]
    end = _find_end(source, closing, position + len(opening), state.eMarks[end_line - 1])
    last = _last_line(state, line, end_line, end) if end >= 0 else None
    if last is None or source[end + len(closing) : state.eMarks[last]].strip():
        return False
    if not silent:
        written = state.getLines(line, last + 1, state.blkIndent, False).strip()
        token = state.push("math_block", "math", 0)
        token.block, token.map = True, [line, last + 1]
        token.markup = "" if opening in ENVIRONMENTS else opening
        token.content = written.removeprefix(token.markup).removesuffix(CLOSING.get(token.markup, ""))
    state.line = last + 1
    return True


def _last_line(state: StateBlock, line: int, end_line: int, end: int) -> int | None:
    """Return the line with the position `end`; None if an empty line, or the end of a list item or quote, is before."""
    while state.eMarks[line] < end:
        line += 1
        if line >= end_line or state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return None
    return line
