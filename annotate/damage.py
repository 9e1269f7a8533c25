"""Damaging an answer so that the original is better for sure. The same text, kind and seed give the same damage."""

import random
import re
from collections.abc import Callable

from annotate.models import Damage

Kind = Damage.Kind
SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=\S)")
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w)]|\.\s)")  # no item of a list, no part of a name
PARAGRAPHS = re.compile(r"\n\s*\n")
FEWEST_SENTENCES = 4  # fewer can often be told in another order
FEWEST_WORDS = 8  # of a sentence that is cut, and of a paragraph that is repeated
CODE = "```"  # an answer with a block of code may be broken by it in ways that do not show


def damaged(text: str, kind: str, seed: int) -> str | None:
    """Return the damaged text, or None where this text cannot be damaged so."""
    if CODE in text:
        return None
    found = DAMAGES[Kind(kind)](text.strip(), random.Random(f"{seed}:{kind}"))  # noqa: S311  (no secret)
    return found if found and found.split() != text.split() else None


def _cut(text: str, draw: random.Random) -> str | None:
    """Break off inside a sentence, in the second half of the text."""
    parts = SENTENCE_ENDS.split(text)
    later = [number for number in range(len(parts) // 2, len(parts)) if len(parts[number].split()) >= FEWEST_WORDS]
    if not later:
        return None
    number = draw.choice(later)
    words = parts[number].split()
    start = text.index(parts[number], sum(map(len, parts[:number])))
    kept = " ".join(words[: draw.randint(3, len(words) - 3)])
    return text[:start] + kept.rstrip(".,;:!?")


def _shuffled(text: str, draw: random.Random) -> str | None:
    """Put the sentences into another order; each paragraph keeps as many as it had."""
    paragraphs = [SENTENCE_ENDS.split(paragraph) for paragraph in PARAGRAPHS.split(text)]
    sentences = [sentence for paragraph in paragraphs for sentence in paragraph]
    if len(sentences) < FEWEST_SENTENCES:
        return None
    left = list(reversed(draw.sample(sentences, len(sentences))))
    if left[-1] == sentences[0]:  # at least the beginning is wrong
        left.insert(0, left.pop())
    return "\n\n".join(" ".join(left.pop() for _ in paragraph) for paragraph in paragraphs)


def _numbers(text: str, draw: random.Random) -> str | None:
    """Put another number of as many digits in place of each."""

    def other(match: re.Match[str]) -> str:
        digits = match[0]
        least = 10 ** (len(digits) - 1) if len(digits) > 1 else 0
        wrong = draw.randint(least, 10 ** len(digits) - 2)
        return str(wrong + (wrong >= int(digits)))

    return NUMBER.sub(other, text) if NUMBER.search(text) else None


def _repeated(text: str, draw: random.Random) -> str | None:
    """Let a paragraph stand twice, the second time at the end or after the one that follows it."""
    paragraphs = PARAGRAPHS.split(text)
    long = [number for number, paragraph in enumerate(paragraphs) if len(paragraph.split()) >= FEWEST_WORDS]
    if not long:
        return None
    number = draw.choice(long)
    return "\n\n".join([*paragraphs[: number + 2], paragraphs[number], *paragraphs[number + 2 :]])


DAMAGES: dict[Kind, Callable[[str, random.Random], str | None]] = {
    Kind.CUT: _cut,
    Kind.SHUFFLED: _shuffled,
    Kind.NUMBERS: _numbers,
    Kind.REPEATED: _repeated,
}
