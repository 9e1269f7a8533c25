"""What people said of each pair of answers, as arrays. Imports numpy: only what computes figures imports this."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from django.db.models.functions import Length, Now
from numpy.typing import NDArray

from annotate.models import REAL, Exclusion, Judgement, Revision, Slot
from projects.models import Project

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_SLOTS = 8


class Said(NamedTuple):
    """The current revision of one person's judgement."""

    prompt: int
    comparison: int
    person: int
    kind: str
    tiers: list[list[int]]
    unordered: list[int]
    shown: list[int]
    opened_at: datetime | None
    submitted_at: datetime
    seconds: float | None


@dataclass(frozen=True)
class Votes:
    """Arrays of one length, with an entry for each pair of answers that one person compared.

    The pair is of the slots i < j of a comparison; which one is i carries no meaning.
    """

    unit: Ints  # the pair of answers, numbered from 0
    prompt: Ints
    person: Ints
    week: Ints  # the Monday (UTC, as date.toordinal) of the newest ranking of the comparison
    value: Ints  # 1: i is better; −1: j is; 0: a tie
    first_wins: Ints  # 1: the one shown first is better; −1: the other; 0: a tie
    length_ratio: Floats  # log2 of the characters of the one shown first over those of the other

    def __getitem__(self, which: Ints | NDArray[np.bool_]) -> "Votes":
        return Votes(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def read_judgements(project: Project) -> tuple[list[Said], int]:
    """Return the votes that stand, and how many judgements of excluded people are left out. Two queries."""
    since = {row.person_id: row.since for row in Exclusion.objects.at(Now()).filter(project=project)}
    rows = (
        Judgement.objects.votes()
        .filter(comparison__project=project, comparison__purpose__in=REAL, current__isnull=False)
        .exclude(current__kind=Revision.Kind.WITHDRAWN)
        .order_by("pk")
        .values_list("comparison__prompt", "comparison", "person", *(f"current__{name}" for name in Said._fields[3:]))
    )
    said = [Said(*row) for row in rows.iterator()]
    kept = [one for one in said if one.person not in since or one.submitted_at < since[one.person]]
    return kept, len(said) - len(kept)


def votes_of(project: Project, judgements: Sequence[Said]) -> Votes:
    """Return what the rankings among the judgements say of each pair of answers. One query, for the lengths."""
    ranked = [one for one in judgements if one.kind == Revision.Kind.RANKED]
    pairs = [pairs_said(tuple(map(tuple, one.tiers)), tuple(one.unordered)) for one in ranked]
    i, j, value = np.concatenate([np.zeros((0, 3), np.int64), *pairs]).T
    row = np.repeat(np.arange(len(ranked)), _ints([len(one) for one in pairs]))
    comparisons, of_row = np.unique(_ints([one.comparison for one in ranked]), return_inverse=True)
    comparison = of_row[row]
    newest = np.zeros(len(comparisons), np.int64)
    np.maximum.at(newest, of_row, _ints([monday(one.submitted_at) for one in ranked]))
    place = _places([one.shown for one in ranked])
    in_order = np.where(place[row, i] < place[row, j], 1, -1)
    length = np.log2(_lengths(project, comparisons))
    return Votes(
        unit=np.unique((comparison * MOST_SLOTS + i) * MOST_SLOTS + j, return_inverse=True)[1],
        prompt=_ints([one.prompt for one in ranked])[row],
        person=_ints([one.person for one in ranked])[row],
        week=newest[comparison],
        value=value,
        first_wins=value * in_order,
        length_ratio=(length[comparison, i] - length[comparison, j]) * in_order,
    )


@lru_cache(maxsize=10_000)
def pairs_said(tiers: tuple[tuple[int, ...], ...], unordered: tuple[int, ...]) -> Ints:
    """Return (i, j, value) for each pair of slots i < j that a ranking compares.

    A pair within an unordered tier was not compared: it is missing, which is no tie.
    """
    tier_of = {slot: number for number, tier in enumerate(tiers) for slot in tier}
    slots = sorted(tier_of)
    return _ints(
        [
            (i, j, np.sign(tier_of[j] - tier_of[i]))
            for i in slots
            for j in slots
            if i < j and not (tier_of[i] == tier_of[j] and tier_of[i] in unordered)
        ]
    ).reshape(-1, 3)


def monday(moment: datetime) -> int:
    """Return the first day of the moment's week, in UTC, as date.toordinal counts."""
    return (moment.date() - timedelta(days=moment.weekday())).toordinal()


def _places(shown: Sequence[Sequence[int]]) -> Ints:
    """Return where each judgement showed each slot. Shape (judgements, MOST_SLOTS)."""
    places = np.zeros((len(shown), MOST_SLOTS), np.int64)
    for row, slots in enumerate(shown):
        places[row, slots] = np.arange(len(slots))
    return places


def _lengths(project: Project, comparisons: Ints) -> Floats:
    """Return the characters of each comparison's answers, 1 where there is none. Shape (comparisons, MOST_SLOTS)."""
    lengths = np.ones((len(comparisons), MOST_SLOTS))
    if not len(comparisons):
        return lengths
    ranked = Judgement.objects.filter(comparison__project=project, current__kind=Revision.Kind.RANKED)
    # Completions that read the same share a slot: the first of them stands for all, as on the page.
    slots = Slot.objects.filter(comparison__in=ranked.values("comparison")).order_by("-pk")
    rows = list(slots.values_list("comparison", "number", Length("completion__text")))
    comparison, number, characters = _ints(rows).T
    at = np.searchsorted(comparisons, comparison).clip(max=len(comparisons) - 1)
    known = comparisons[at] == comparison  # the others are of excluded people alone
    lengths[at[known], number[known]] = characters[known].clip(min=1)
    return lengths


def _ints(values: Sequence[object]) -> Ints:
    return np.array(values, np.int64)
