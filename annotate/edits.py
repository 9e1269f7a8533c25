"""A better answer than those shown, written by the person who judges: edited from one of them, or from nothing.

The comparison stays as it is, and nobody else sees the text. The revision says what it would say without it (which
answer is best, the ranking, or that all are bad); the text stands above all of that. It is a completion with an author
and, where it was edited, a parent; it has no token ids, so the trainer tokenises it like every written answer.
"""

from dataclasses import dataclass

from django.contrib.auth.models import User

from annotate.comparisons import folded
from annotate.models import Comparison, Revision
from generation.models import Completion
from projects.prompts import UNSTORABLE

LONGEST_EDIT = 50_000  # characters
UNREADABLE = "Your text holds a NUL character or half of a surrogate pair. Remove it."


class EditError(ValueError):
    """A text that is no better answer. The message says why, and what to do."""


@dataclass(frozen=True)
class Edit:
    text: str
    parent: int | None  # the slot of the answer that it was edited from


def read_edit(text: str, parent: int | None, comparison: Comparison, shown: list[int]) -> Edit:
    """Return a text that a person wrote, with the line ends and blanks around it tidied. One query.

    Raises:
        EditError: it is empty, too long, holds what cannot be stored, or reads like one of the answers.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n").rstrip()
    if not text.strip():
        raise EditError("Your text is empty. Write an answer, or choose one of those shown.")
    if len(text) > LONGEST_EDIT:
        raise EditError(f"Your text has {len(text):,} characters; at most {LONGEST_EDIT:,} are taken. Shorten it.")
    if UNSTORABLE.search(text):
        raise EditError(UNREADABLE)
    for slot, answer in comparison.answers.values_list("number", "completion__text"):
        if folded(answer) != folded(text):
            continue
        number = shown.index(slot) + 1
        if slot == parent:
            raise EditError(f"You changed nothing in answer {number}. Change it, or choose it as it is.")
        raise EditError(f"Your text reads like answer {number}. Change it, or choose answer {number}.")
    return Edit(text, parent)


def store_edit(person: User, comparison: Comparison, edit: Edit) -> Completion:
    """Store the text as an answer to the comparison's prompt, in its context. Never changed: an edit is a new one."""
    parent = None
    if edit.parent is not None:
        # Completions that read the same share a slot: the first of them stands for all.
        parent = comparison.answers.filter(number=edit.parent).order_by("pk").values_list("completion", flat=True)[0]
    return Completion.objects.create(
        prompt_id=comparison.prompt_id,
        context_id=comparison.context_id,
        text=edit.text,
        finish_reason=Completion.Finish.WRITTEN,
        author=person,
        parent_id=parent,
    )


@dataclass(frozen=True)
class Own:
    of: int  # the number, as shown, of the answer that it was edited from; 0: none
    text: str


def own_text(person: User, comparison: Comparison, shown: list[int]) -> Own | None:
    """Return what this person last wrote in this comparison, even if they took it back. One query, or two."""
    written = Revision.objects.filter(
        judgement__comparison=comparison, judgement__settles=False, person=person, edit__isnull=False
    )
    last = written.select_related("edit").order_by("-number").first()
    if last is None or last.edit is None:
        return None
    slot = comparison.answers.filter(completion=last.edit.parent_id).values_list("number", flat=True).first()
    return Own(0 if slot is None else shown.index(slot) + 1, last.edit.text)
