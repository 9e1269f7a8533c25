"""What a person sees of a comparison: the answers in an order of their own, and nothing that tells models apart."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.core import signing

from annotate.models import Comparison, Slot
from generation.models import Completion
from jobs.prepared import Given, Prepared
from projects.models import Prompt

SALT = "annotate.blind"
SPEAKERS = {"system": "Instructions", "user": "Person", "assistant": "Model"}


@dataclass(frozen=True)
class Answer:
    number: int  # its place on the page, from 1
    text: str
    cut_off: bool


@dataclass(frozen=True)
class Seen:
    """What a page showed: sealed into it, it comes back with the choice, even after the lease has ended."""

    shown: list[int]
    opened_at: datetime | None
    guidelines: int | None  # the version's id


class BrokenSeal(ValueError):
    """The seal was not made by us, or for another person or comparison."""


_texts = Prepared(
    lambda: (
        Slot.objects.filter(comparison=Given("comparison"))
        .order_by("-pk")
        .values_list("number", "completion__text", "completion__finish_reason")
    )
)


def answers(comparison: Comparison, shown: list[int]) -> list[Answer]:
    """Return the answers in the order shown. Of those that read the same the first stands for all. One query."""
    rows = _texts(comparison=comparison.pk)
    by_slot = {slot: (text, finish == Completion.Finish.LENGTH) for slot, text, finish in rows}
    return [Answer(number, *by_slot[slot]) for number, slot in enumerate(shown, start=1)]


def earlier(prompt: Prompt) -> list[tuple[str, str]]:
    """Return what was said before the prompt's last turn: by whom, and the text."""
    return [(SPEAKERS[message["role"]], message["content"]) for message in prompt.messages[:-1]]


def seal(person: User, comparison: Comparison, seen: Seen) -> str:
    """Sign what the page showed, for this person and comparison alone.

    Everybody can read it: the comparison is named by the signature only. Slots may stand in it, as they are drawn.
    """
    opened_at = seen.opened_at.isoformat() if seen.opened_at else None
    return signing.dumps([seen.shown, opened_at, seen.guidelines], salt=_salt(person, comparison))


def unseal(text: str, person: User, comparison: Comparison) -> Seen:
    """Return what the page showed.

    Raises:
        BrokenSeal: this person was not shown this comparison by it.
    """
    try:
        shown, opened_at, guidelines = signing.loads(text, salt=_salt(person, comparison))
    except signing.BadSignature as error:
        raise BrokenSeal from error
    return Seen(shown, datetime.fromisoformat(opened_at) if opened_at else None, guidelines)


def _salt(person: User, comparison: Comparison) -> str:
    return f"{SALT}:{person.pk}:{comparison.pk}"
