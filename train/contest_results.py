"""What came of blind A/Bs. Imports numpy: only what shows results imports this."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Length

from annotate.estimates import Estimate
from annotate.models import Revision, Slot
from projects.models import Project
from train.models import Contest, Pairing
from train.winrates import Floats, Ints, Ranking, bradley_terry, win_rate, win_rate_at_equal_length

WIN, TIE, LOSS = 1.0, 0.5, 0.0  # of a contest's first policy


class Score(NamedTuple):
    """One judgement of a pairing, or a tie by itself, which is nobody's."""

    contest: Contest
    prompt: int
    score: float
    length_ratio: float  # log2 of the characters of the first policy's answer over the other's
    person: int | None


@dataclass(frozen=True)
class Outcome:
    """The result of a contest, for its first policy."""

    wins: int
    ties: int  # by people, all bad among them
    same: int  # ties by themselves: both answers read the same
    losses: int
    people: int
    prompts: int
    rate: Estimate
    rate_at_equal_length: Estimate

    @property
    def comparisons(self) -> int:
        return self.wins + self.ties + self.same + self.losses


def outcomes(contests: Sequence[Contest]) -> dict[int, Outcome]:
    """Return the result of each contest by its id. Two queries."""
    scores = read_scores(contests)
    return {one.pk: _outcome([score for score in scores if score.contest == one]) for one in contests}


def rank_policies(project: Project) -> tuple[Ranking, int]:
    """Rank the policies of all contests that have ended, and say of how many judgements. Three queries."""
    scores = read_scores(list(Contest.objects.ended().filter(project=project)))
    first, second = (_ints([getattr(one.contest, name) for one in scores]) for name in ("first_id", "second_id"))
    ranking = bradley_terry(_prompts(scores), first, second, _floats([one.score for one in scores]))
    return ranking, len(scores)


def read_scores(contests: Sequence[Contest]) -> list[Score]:
    """Return what people say of the pairings now, settlements first, without whom an admin has left out.

    Where part of a contest was judged, for it was stopped, the same part of its ties by themselves counts: else they
    would draw the result to even. Prompts are drawn at random, so those asked first are as good as any. Two queries.
    """
    said: dict[int, list[tuple[int, str, list[list[int]]]]] = {}
    counted = Revision.objects.counted().filter(judgement__comparison__pairing__contest__in=contests)
    fields = ("judgement__comparison", "judgement__person", "kind", "tiers")
    for comparison, *judgement in counted.order_by("pk").values_list(*fields):
        said.setdefault(comparison, []).append((judgement[0], judgement[1], judgement[2]))
    rows = list(_pairings(contests))
    asked = Counter(row["contest"] for row in rows if row["comparison"])
    judged = Counter(row["contest"] for row in rows if row["comparison"] in said)
    same = Counter(row["contest"] for row in rows if not row["comparison"])
    ties_left = {pk: round(same[pk] * (judged[pk] / asked[pk] if asked[pk] else 1)) for pk in same}
    by_pk = {contest.pk: contest for contest in contests}
    scores = []
    for row in rows:
        about = by_pk[row["contest"]], row["first_answer__prompt"]
        ratio = math.log2(max(1, row["first_length"]) / max(1, row["second_length"]))
        for person, kind, tiers in said.get(row["comparison"], []):
            scores.append(Score(*about, _score(kind, tiers, row["first_slot"]), ratio, person))
        if not row["comparison"] and ties_left[row["contest"]]:
            ties_left[row["contest"]] -= 1
            scores.append(Score(*about, TIE, ratio, None))
    return scores


def _pairings(contests: Sequence[Contest]) -> "Sequence[dict[str, int]]":
    slots = Slot.objects.filter(comparison=OuterRef("comparison"), completion=OuterRef("first_answer"))
    found = Pairing.objects.filter(contest__in=contests).order_by("pk")
    return found.annotate(  # type: ignore[return-value]
        first_slot=Subquery(slots.values("number")),
        first_length=Length("first_answer__text"),
        second_length=Length("second_answer__text"),
    ).values("contest", "first_answer__prompt", "comparison", "first_slot", "first_length", "second_length")


def _score(kind: str, tiers: list[list[int]], first_slot: int) -> float:
    if kind == Revision.Kind.BOTH_BAD or len(tiers) == 1:
        return TIE
    return WIN if first_slot in tiers[0] else LOSS


def _outcome(scores: Sequence[Score]) -> Outcome:
    prompt, score = _prompts(scores), _floats([one.score for one in scores])
    same = sum(one.person is None for one in scores)
    return Outcome(
        wins=int((score == WIN).sum()),
        ties=int((score == TIE).sum()) - same,
        same=same,
        losses=int((score == LOSS).sum()),
        people=len({one.person for one in scores} - {None}),
        prompts=len(set(prompt.tolist())),
        rate=win_rate(prompt, score),
        rate_at_equal_length=win_rate_at_equal_length(prompt, score, _floats([one.length_ratio for one in scores])),
    )


def _prompts(scores: Sequence[Score]) -> Ints:
    return _ints([one.prompt for one in scores])


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def _floats(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)
