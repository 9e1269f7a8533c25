"""How far people agree on pairs of answers. Imports numpy: only what computes figures imports this.

A unit is a pair of answers of one comparison, and a person's value for it is 1 (the one is better), −1 (the other is)
or 0 (a tie). Which answer is “the one” carries no meaning, so each unit is entered in both orientations, the second
time with the signs turned: nothing depends on how slots are numbered. A pair that a person did not compare is missing.

A tie lies between the two choices, so values are ordered and alpha is the ordinal one (Krippendorff 2011, section D:
the difference function follows the level of measurement). In both orientations 1 and −1 are equally frequent; then
the ordinal difference of opposite choices is four times that of a choice and a tie, whatever the share of ties. The
nominal alpha, in which all three values differ equally, is given beside it: that is how the agreement of rankings is
reported for machine translation (Bojar et al. 2013). Without ties they are equal.

Intervals are percentiles over 1,000 resamples of whole prompts, as the judgements of one prompt hang together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import krippendorff
import numpy as np
from numpy.typing import NDArray

from annotate.estimates import CONFIDENCE, RESAMPLES, SEED, Estimate, too_few
from annotate.votes import Floats, Ints, Votes

CHUNK = 100  # resamples drawn at a time: bounds the memory
MOST_UNDEFINED = 0.05  # share of resamples without a figure above which there is no interval
DOMAIN = (-1, 0, 1)
ONLY_TIES = "All of it is ties, so there is no choice to agree on: this needs pairs of which one was chosen."
ALL_ALIKE = "There is no interval: resampling cannot tell how far chance goes while all cases are alike."


@dataclass(frozen=True)
class Meetings:
    """Arrays of one length, with an entry for each two people who compared the same pair of answers."""

    prompt: Ints
    week: Ints
    person: Ints  # the smaller key of the two
    other: Ints
    value: Ints  # what `person` said
    other_value: Ints
    weight: Floats  # 1 / (people who compared the pair − 1): what a meeting weighs in alpha

    def __getitem__(self, which: Ints | NDArray[np.bool_] | slice) -> "Meetings":
        return Meetings(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.prompt)


@dataclass(frozen=True)
class Agreement:
    prompts: int  # with a pair of answers that two people compared
    pairs: int  # of answers that two people or more compared
    meetings: int  # two people on one pair
    raw_agreement: Estimate  # share of meetings that say the same, a tie being an answer like the others
    expected_agreement: float | None  # the same by chance, from the share of ties
    raw_agreement_without_ties: Estimate  # share of the meetings in which both chose, where chance gives one half
    krippendorff_alpha: Estimate  # ordinal
    krippendorff_alpha_nominal: Estimate


def meetings_of(votes: Votes) -> Meetings:
    votes = votes[np.lexsort((votes.person, votes.unit))]
    people = np.bincount(votes.unit)[votes.unit] if len(votes.unit) else votes.unit
    found = [np.zeros((2, 0), np.int64)]
    for apart in range(1, people.max(initial=1)):
        first = np.flatnonzero(votes.unit[:-apart] == votes.unit[apart:])
        found.append(np.stack([first, first + apart]))
    first, second = np.concatenate(found, axis=1)
    return Meetings(
        prompt=votes.prompt[first],
        week=votes.week[first],
        person=votes.person[first],
        other=votes.person[second],
        value=votes.value[first],
        other_value=votes.value[second],
        weight=1 / (people[first] - 1),
    )


def count_values(votes: Votes) -> Ints:
    """Return how many people gave each value to each pair of answers. Shape (units, 3)."""
    units, at = np.unique(votes.unit, return_inverse=True)
    return np.bincount(at * 3 + votes.value + 1, minlength=3 * len(units)).reshape(-1, 3)


def both_orientations(counts: Ints) -> Ints:
    return np.concatenate([counts, counts[:, ::-1]])


def alpha(counts: Ints, level: str, domain: tuple[int, ...] = DOMAIN) -> float:
    """Return Krippendorff's alpha of a table of units by values that hold how many people gave the value."""
    return float(krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))  # type: ignore[arg-type]


def agreement(meetings: Meetings, counts: Ints) -> Agreement:
    """Return how far the people of these meetings agree; `counts` are the values of the pairs that they met on."""
    prompts, at = np.unique(meetings.prompt, return_inverse=True)
    kinds = kinds_of_meeting(meetings)
    size = (len(prompts), len(meetings), int((counts.sum(axis=1) > 1).sum()))
    if missing := too_few(len(prompts)):
        none = Estimate(missing=missing)
        return Agreement(size[0], size[2], size[1], none, None, none, none, none)
    columns = np.concatenate([kinds, kinds * meetings.weight[:, None]], axis=1)
    sums = np.stack([np.bincount(at, column) for column in columns.T], axis=1)
    plain, weighted = np.split(resample(sums), 2, axis=1)
    total = kinds.sum(axis=0)
    turned = both_orientations(counts)
    ordinal, nominal = (alpha(turned, level) if total[:3].any() else None for level in ("ordinal", "nominal"))
    return Agreement(
        prompts=size[0],
        pairs=size[2],
        meetings=size[1],
        raw_agreement=_estimate(float(share_alike(total)), share_alike(plain)),
        expected_agreement=float(share_by_chance(total)),
        raw_agreement_without_ties=_estimate(_number(share_alike_without_ties(total)), share_alike_without_ties(plain)),
        krippendorff_alpha=_estimate(ordinal, ordinal_alpha(weighted)),
        krippendorff_alpha_nominal=_estimate(nominal, nominal_alpha(weighted)),
    )


def by_two_people(meetings: Meetings) -> Iterator[tuple[int, int, Agreement]]:
    """Yield each two people who met, with how far they agree."""
    meetings = meetings[np.lexsort((meetings.other, meetings.person))]
    changes = (np.diff(meetings.person) != 0) | (np.diff(meetings.other) != 0)
    ends = [0, *(np.flatnonzero(changes) + 1), len(meetings)]
    for start, end in zip(ends, ends[1:], strict=False):
        if start < end:
            theirs = meetings[start:end]
            values = np.eye(3, dtype=np.int64)
            counts = values[theirs.value + 1] + values[theirs.other_value + 1]
            yield int(theirs.person[0]), int(theirs.other[0]), agreement(theirs, counts)


def by_week(votes: Votes, meetings: Meetings) -> Iterator[tuple[date, Agreement]]:
    """Yield the Monday of each week with how far people agree on the comparisons whose newest ranking is of it."""
    for week in np.unique(meetings.week):
        counts = count_values(votes[votes.week == week])
        yield date.fromordinal(int(week)), agreement(meetings[meetings.week == week], counts)


# ---- A meeting is of one of four kinds, and every figure here follows from how many there are of each.
# The last axis of `kinds` holds: the same choice, opposite choices, a choice and a tie, two ties.


def kinds_of_meeting(meetings: Meetings) -> Ints:
    product = meetings.value * meetings.other_value
    ties = (meetings.value == 0).astype(np.int64) + (meetings.other_value == 0)
    return np.stack([product == 1, product == -1, ties == 1, ties == 2], axis=1).astype(np.int64)


def share_alike(kinds: NDArray) -> Floats:
    return (kinds[..., 0] + kinds[..., 3]) / kinds.sum(axis=-1)


def share_alike_without_ties(kinds: NDArray) -> Floats:
    return _divide(kinds[..., 0], kinds[..., 0] + kinds[..., 1])


def share_by_chance(kinds: NDArray) -> Floats:
    """Return how often two would say the same who choose blindly and tie as often as these people do."""
    ties = (kinds[..., 2] + 2 * kinds[..., 3]) / (2 * kinds.sum(axis=-1))
    return (1 - ties) ** 2 / 2 + ties**2


def ordinal_alpha(kinds: NDArray) -> Floats:
    """Return alpha in both orientations, NaN where all is ties, from the kinds of meetings by their weight.

    1 − (n − 1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck with the coincidences of both orientations: of S, O, H and T meetings
    n₊ = n₋ = 2S + 2O + H, n = 4(S + O + H + T), and δ² is 4 between 1 and −1, 1 between either and 0.
    Equal to what the library gives for the ordinal level; used for resampling, where it is much faster.
    """
    same, opposite, half, _ = np.moveaxis(kinds, -1, 0)
    n, choices = 4 * kinds.sum(axis=-1), 2 * same + 2 * opposite + half
    return 1 - _divide((n - 1) * (4 * opposite + half), n * choices)


def nominal_alpha(kinds: NDArray) -> Floats:
    """Return the same with δ² = 1 between any two values."""
    same, opposite, half, _ = np.moveaxis(kinds, -1, 0)
    n, choices = 4 * kinds.sum(axis=-1), 2 * same + 2 * opposite + half
    return 1 - _divide(2 * (n - 1) * (opposite + half), choices * (2 * n - 3 * choices))


def resample(sums: NDArray) -> Floats:
    """Return the column sums of resamples of the rows, one row a prompt. Shape (RESAMPLES, columns)."""
    prompts = len(sums)
    draw = np.random.default_rng(SEED)
    start_of_each = prompts * np.arange(CHUNK)[:, None]
    chunks = []
    for _ in range(RESAMPLES // CHUNK):
        drawn = draw.integers(prompts, size=(CHUNK, prompts)) + start_of_each
        times_drawn = np.bincount(drawn.ravel(), minlength=CHUNK * prompts).reshape(CHUNK, prompts)
        chunks.append(times_drawn @ sums.astype(np.float64))
    return np.concatenate(chunks)


def _estimate(value: float | None, resampled: Floats) -> Estimate:
    if value is None:
        return Estimate(missing=ONLY_TIES)
    defined = resampled[np.isfinite(resampled)]
    if len(defined) < (1 - MOST_UNDEFINED) * RESAMPLES or np.ptp(defined) == 0:
        return Estimate(value, missing=ALL_ALIKE)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def _divide(above: NDArray, below: NDArray) -> Floats:
    """Divide, giving NaN for anything over nothing."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0)


def _number(value: Floats) -> float | None:
    return float(value) if np.isfinite(value) else None
