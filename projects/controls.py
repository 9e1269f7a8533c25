"""Characters that turn the direction of text, made visible and harmless, none of them left out.

An override can make "exe.gpj" of "jpg.exe". So each of these is shown by its short name, and what opens a direction
does so inside an element of its own, where it ends. The marks, which Arabic and Hebrew need and which turn nothing
that has a direction, keep their effect beside a small sign.
"""

import re

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

MARKS = {"\u200e": "LRM", "\u200f": "RLM", "\u061c": "ALM"}
TURNS = {
    "\u202a": "LRE",
    "\u202b": "RLE",
    "\u202c": "PDF",
    "\u202d": "LRO",
    "\u202e": "RLO",
    "\u2066": "LRI",
    "\u2067": "RLI",
    "\u2068": "FSI",
    "\u2069": "PDI",
}
CONTROL = re.compile(f"[{''.join(MARKS | TURNS)}]")
MOST = 2_000  # shown in one text; where there are more, nobody reads it, and the page only keeps them inside
# A browser takes seconds to lay out a megabyte in one piece. Cut at the end of a line, else at a space, else anywhere.
PART = re.compile(r".{1,10000}\Z|.{1,10000}\n|.{1,10000} |.{1,10000}", re.DOTALL)


def visible(text: str) -> SafeString:
    """Return the text as HTML, escaped, its control characters in sight. Its words are those of the text."""
    html = escape(text)
    if not CONTROL.search(html) or len(CONTROL.findall(html)) > MOST:
        return html
    return mark_safe(CONTROL.sub(_shown, html))  # noqa: S308  (escaped above)


def written(text: str) -> SafeString:
    """Return a whole text as it was written, for inside a `<pre>`: in parts that the browser lays out when seen."""
    show = visible if len(CONTROL.findall(text)) <= MOST else escape
    parts = "".join(f'<span class="part">{show(part)}</span>' for part in PART.findall(text))
    return mark_safe(parts)  # noqa: S308  (escaped part by part)


def _shown(control: re.Match[str]) -> str:
    character = control[0]
    if character in MARKS:
        return f'<bdi class="control tick" title="{MARKS[character]}"></bdi>{character}'
    return f'<bdi class="control" title="{TURNS[character]}">{character}</bdi>'
