"""Markdown as people and models write it, as HTML that is safe on our pages. Everything in it may be hostile."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from time import thread_time
from typing import Any

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token as Kind

from projects import mathematics
from projects.controls import visible, written
from projects.prompts import UNSTORABLE

# Beyond these a text is shown as it was written: some Markdown takes time that grows with its square.
MOST_CHARACTERS = 40_000
MOST_BRACKETS = 4_000
DEEPEST = 40
MOST_COLOURED = 10_000  # characters of one piece of code
COLOURING_SECONDS = 0.2  # of processor time for all code in a text; what is left is shown without colours

SCHEMES = {"http", "https", "mailto"}
ALIGNMENTS = ("left", "center", "right")
# Those whose lexers stay quick, whatever they read.
LANGUAGES = """
    bash c c# c++ cpp csharp css diff docker dockerfile go golang haskell html ini java javascript js json jsx
    julia kotlin latex lua make makefile perl php postgresql powershell py python python3 r rb rs ruby rust
    scala scss sh shell sql swift tex toml ts tsx typescript xml yaml yml zsh
"""
COLOURS = (  # the first that holds a token names its class
    (Kind.Comment, "hl-comment"),
    (Kind.Keyword, "hl-keyword"),
    (Kind.Operator.Word, "hl-keyword"),
    (Kind.Name.Tag, "hl-keyword"),
    (Kind.Literal.String, "hl-string"),
    (Kind.Literal.Number, "hl-number"),
    (Kind.Name.Function, "hl-name"),
    (Kind.Name.Class, "hl-name"),
    (Kind.Generic.Inserted, "hl-in"),
    (Kind.Generic.Deleted, "hl-out"),
)
HEADINGS = {f"h{level}" for level in range(3, 7)}
TAGS = HEADINGS | {"a", "blockquote", "br", "code", "div", "em", "hr", "li", "ol", "p", "pre", "s", "span", "strong"}
TAGS |= {"bdi", "table", "tbody", "td", "th", "thead", "tr", "ul"}
BLOCKS = HEADINGS | {"blockquote", "div", "ol", "p", "pre", "ul"}
SCROLLS = {"tabindex", "role", "aria-label"}
ATTRIBUTES = {tag: {"dir"} for tag in BLOCKS} | {
    "a": {"href", "title"},
    "bdi": {"title"},
    "div": SCROLLS | {"dir"},
    "ol": {"start", "dir"},
    "pre": SCROLLS | {"dir"},
    "span": SCROLLS,
    "th": {"scope"},
}
CLASSES = {
    "bdi": {"control", "tick"},
    "div": {"wide", "formula"},
    "span": {name for _, name in COLOURS} | {"wide", "formula", "inline"},
    "th": set(ALIGNMENTS),
    "td": set(ALIGNMENTS),
}
LONG_FORMULA = 40  # characters of LaTeX in a line of text: a longer one may be too wide for a phone and can be scrolled

# Formulas were cleaned alone, where only MathML may be. All is cleaned once more as a whole, as one document: what one
# part would do to another is undone here, and a page gets nothing that was put together after this.
CLEANER = nh3.Cleaner(
    tags=TAGS | set(mathematics.ELEMENTS),
    attributes=ATTRIBUTES | mathematics.ELEMENTS,
    attribute_filter=mathematics.allowed,
    allowed_classes=CLASSES | mathematics.ALLOWED_CLASSES,
    url_schemes=SCHEMES,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def render(text: str) -> SafeString:
    """Return Markdown as HTML; a text that is too much for it as it was written, none of it left out."""
    text = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    if len(text) > MOST_CHARACTERS or text.count("[") > MOST_BRACKETS:
        return _as_written(text, "It is too long to be formatted")
    tokens = PARSER.parse(text)
    # The parser leaves out what is nested more deeply than its limit, without a word.
    if any(token.nesting == 1 and token.level >= DEEPEST - 1 for token in tokens):
        return _as_written(text, "It is nested too deeply to be formatted")
    _fit_headings(tokens)
    for token in tokens:
        # Each outermost block has the direction of its own first letter.
        if token.nesting == 1 and token.level == 0:
            token.attrSet("dir", "auto")
        if token.children:
            token.children = list(_without_images(token.children))
    env = {"until": thread_time() + COLOURING_SECONDS, "mathml": mathematics.MOST_MATHML}
    return mark_safe(CLEANER.clean(RENDERER.render(tokens, PARSER.options, env)))  # noqa: S308  (just sanitised)


def _as_written(text: str, reason: str) -> SafeString:
    return format_html(
        '<p class="note">{}, so all of it is here as it was written.</p>'
        '<pre class="written" dir="auto" tabindex="0" role="group" aria-label="Text as it was written">{}</pre>',
        reason,
        written(text),
    )


def _fit_headings(tokens: list[Token]) -> None:
    """Let the headings start at h3 and skip no level, keeping which stands under which."""
    above: list[int] = []
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            while above and above[-1] >= level:
                above.pop()
            above.append(level)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(2 + len(above), 6)}"


def _without_images(tokens: Sequence[Token]) -> Iterator[Token]:
    """Put an image's alternative text and its address, as a link, in its place: pages load nothing from elsewhere."""
    inside_link = False
    for token in tokens:
        if token.type in ("link_open", "link_close"):
            inside_link = token.type == "link_open"
        if token.type != "image":
            yield token
            continue
        address = str(token.attrs["src"])
        description = RENDERER.renderInlineAsText(token.children, PARSER.options, {}) or "image"
        yield _text(f"{description} (")
        if not inside_link:
            yield Token("link_open", "a", 1, attrs={"href": address})
        yield _text(address)
        if not inside_link:
            yield Token("link_close", "a", -1)
        yield _text(")")


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


class Renderer(RendererHTML):
    """Code and tables that can be reached and scrolled by keys, and classes where others write styles."""

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        language = tokens[index].info.split(maxsplit=1)[:1]
        lexer = _lexer(language[0].lower() if language else "")
        code = tokens[index].content
        name = f"Code, {lexer.name}" if lexer else "Code"
        coloured = _coloured(code, lexer, env["until"]) if lexer and len(code) <= MOST_COLOURED else None
        return _code(coloured or visible(code), name)

    def code_block(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return _code(visible(tokens[index].content), "Code")

    def code_inline(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return f"<code>{visible(tokens[index].content)}</code>"

    def text(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return visible(tokens[index].content)

    def math_inline(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        displayed = token.markup in mathematics.DISPLAYED
        formula = _formula(token, displayed, env)
        if formula is None:
            return _formula_as_written(token)
        if displayed or len(token.content) > LONG_FORMULA:
            return f'<span class="wide formula{"" if displayed else " inline"}" {REACHED}>{formula}</span>'
        return formula

    def math_block(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        formula = _formula(tokens[index], True, env)
        if formula is None:
            return f'<p dir="auto">{_formula_as_written(tokens[index])}</p>\n'
        return f'<div class="wide formula" {REACHED}>{formula}</div>\n'

    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        direction = ' dir="auto"' if tokens[index].level == 0 else ""
        return f'<div class="wide"{direction} tabindex="0" role="group" aria-label="Table"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return f'<th scope="col"{_alignment(tokens[index])}>'

    def td_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return f"<td{_alignment(tokens[index])}>"


REACHED = 'tabindex="0" role="group" aria-label="Formula"'


def _code(inner: str, name: str) -> str:
    return f'<pre dir="ltr" tabindex="0" role="group" aria-label="{escape(name)}"><code>{inner}</code></pre>\n'


def _formula(token: Token, display: bool, env: EnvType) -> str | None:
    """Return the formula as MathML while there is room for it in this text."""
    mathml = mathematics.to_mathml(token.content.strip(), display=display) if env["mathml"] > 0 else None
    env["mathml"] -= len(mathml or "")
    return mathml if env["mathml"] > 0 else None


def _formula_as_written(token: Token) -> str:
    return visible(mathematics.as_written(token)).replace("\n", "<br>\n")


def _alignment(cell: Token) -> str:
    side = str(cell.attrs.get("style", "")).removeprefix("text-align:")
    return f' class="{side}"' if side in ALIGNMENTS else ""


def _lexer(language: str) -> Lexer | None:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language in LANGUAGES.split() else None


def _coloured(code: str, lexer: Lexer, until: float) -> str | None:
    """Return the code with its parts in classes, or None if that takes too long or would change the code."""
    pieces = []
    for kind, value in lexer.get_tokens(code):
        if thread_time() > until:
            return None
        pieces.append((_colour(kind), value))
    if "".join(value for _, value in pieces) != code:
        return None
    runs = ((name, visible("".join(value for _, value in run))) for name, run in groupby(pieces, itemgetter(0)))
    return "".join(f'<span class="{name}">{value}</span>' if name else value for name, value in runs)


def _colour(kind: Any) -> str:
    return next((name for group, name in COLOURS if kind in group), "")


class Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  (markdown-it's name)
        """A link anywhere but to the web or a mailbox stays text, with its address in sight."""
        scheme, colon, _ = url.partition(":")
        return bool(colon) and scheme.lower() in SCHEMES


# Models and people mean their line ends: a poem keeps its lines.
PARSER = Parser("commonmark", {"html": False, "linkify": False, "breaks": True, "maxNesting": DEEPEST})
PARSER.enable(["table", "strikethrough"])
mathematics.add_rules(PARSER)
RENDERER = Renderer(PARSER)
