"""Gold and practice comparisons: made of real ones that people agree on, or of an answer and its damaged copy.

Their settlement says what is expected, and why. They are taken out by a date, and never deleted.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from annotate import review
from annotate.checks import copy_of, make_check, says_the_same
from annotate.damage import damaged
from annotate.judging import Choice, Kind, best_of
from annotate.models import COUNTED, REAL, Check, Comparison, Damage, Judgement, Practised, Revision, Slot, excluded
from generation.models import Completion
from projects.models import Project

FEWEST_PEOPLE = 3  # who agree, for a comparison that no admin has settled
LOOKED_AT = 500  # answers, of which some are damaged
PURPOSES = (Comparison.Purpose.GOLD, Comparison.Purpose.PRACTICE)


def candidates(project: Project) -> "QuerySet[Comparison]":
    """Return the real comparisons of high certainty, with `people`: how many agree and nobody differs, or None.

    Either an admin has settled it, or three or more people put the same first. Those that still wait for judgements
    are left out, so that nobody is given both the gold comparison and then its original; so are those in use.
    """
    votes = Revision.objects.votes().filter(kind__in=COUNTED, judgement__comparison=OuterRef("pk"))
    counted = votes.exclude(excluded(Now(), "")).order_by().values("judgement__comparison")
    agreed = counted.annotate(
        people=Count("pk"),
        kinds=Count("kind", distinct=True),
        firsts=Count(KeyTextTransform("0", "tiers"), distinct=True),
    ).filter(people__gte=FEWEST_PEOPLE, kinds=1, firsts__lte=1)
    settled = Judgement.objects.standing_settlements().filter(comparison=OuterRef("pk"))
    in_use = Comparison.objects.filter(repeats=OuterRef("pk"), purpose__in=PURPOSES, check_made__taken_out_at=None)
    judged = project.comparisons.filter(purpose__in=REAL, judged__gte=F("wanted"))
    found = judged.annotate(people=Subquery(agreed.values("people")), settled=Exists(settled))
    sure = found.filter(Q(people__isnull=False) | Q(settled=True)).exclude(Exists(in_use))
    return sure.select_related("prompt").order_by("-settled", "-people", "pk")


def add(comparisons: Iterable[Comparison], purpose: str, by: User, reason: str = "") -> list[Comparison]:
    """Make gold or practice comparisons of real ones. What was settled, or agreed on, is what is expected."""
    return [_add(comparison, purpose, by, reason) for comparison in comparisons]


@transaction.atomic
def _add(original: Comparison, purpose: str, by: User, reason: str) -> Comparison:
    expected = _expected(original, reason)
    copy = copy_of(original, purpose)
    _make(copy, expected, by)
    return copy


def _expected(original: Comparison, reason: str) -> Choice:
    """Return what the settlement says, or who comes first by all votes: what they said of the others may differ."""
    if settled := review.settlement(original):
        tiers = tuple(tuple(tier) for tier in settled.tiers)
        return Choice(Kind(settled.kind), tiers, tuple(settled.unordered), reason=reason or settled.reason)
    votes = Revision.objects.votes().filter(judgement__comparison=original, kind__in=COUNTED)
    agreed = votes.exclude(excluded(Now(), ""))
    said = agreed.order_by("-pk").first()
    assert said is not None  # it is a candidate
    reason = reason or f"{agreed.count()} people said so, and nobody differed."
    if said.kind == Kind.BOTH_BAD:
        return Choice(Kind.BOTH_BAD, reason=reason)
    first = tuple(said.tiers[0])
    others = tuple(slot for slot in range(original.slots) if slot not in first)
    return Choice(Kind.RANKED, (first, others) if others else (first,), (1,) if len(others) > 1 else (), reason=reason)


def _make(comparison: Comparison, expected: Choice, by: User) -> None:
    Check.objects.create(comparison=comparison, added_by=by)
    review.settle(comparison, expected, by, list(range(comparison.slots)))


def add_damaged(
    project: Project, how_many: int, purpose: str, by: User, seed: int, kinds: Iterable[str] = Damage.Kind.values
) -> list[Comparison]:
    """Make comparisons of an answer with its damaged copy; fewer where there are not so many answers to damage.

    The seed decides which answers, and what is done to them. The kinds of damage take turns.
    """
    draw = random.Random(seed)  # noqa: S311  (no secret)
    pks = list(_whole_answers(project).order_by("-pk").values_list("pk", flat=True)[:LOOKED_AT])
    draw.shuffle(pks)
    turns = list(kinds)
    made: list[Comparison] = []
    completions = Completion.objects.in_bulk(pks)
    for completion in (completions[pk] for pk in pks):
        if len(made) == how_many:
            break
        damages = ((kind, damaged(completion.text, kind, seed)) for kind in turns)
        if found := next(((kind, text) for kind, text in damages if text is not None), None):
            made.append(_add_damaged(completion, found[1], found[0], seed, purpose, by))
            turns.append(turns.pop(turns.index(found[0])))
    return made


def _whole_answers(project: Project) -> "QuerySet[Completion]":
    """Return the answers, of real comparisons of two, that ended by themselves and were not damaged before."""
    slots = _slots_of_two().filter(comparison__project=project, completion=OuterRef("pk"))
    whole = Completion.objects.filter(Exists(slots), prompt__project=project, finish_reason=Completion.Finish.STOP)
    return whole.exclude(Exists(Damage.objects.filter(completion__parent=OuterRef("pk"))))


def _slots_of_two() -> "QuerySet[Slot]":
    """Return the answers of real comparisons of two.

    Of more answers nobody knows which is best once one of them is a damaged copy, and two alone would stand out.
    """
    return Slot.objects.filter(comparison__purpose__in=REAL, comparison__slots=2)


@transaction.atomic
def _add_damaged(original: Completion, text: str, kind: str, seed: int, purpose: str, by: User) -> Comparison:
    # Its finish reason is the original's: the page says how an answer ended.
    copy = Completion.objects.create(
        prompt_id=original.prompt_id,
        context_id=original.context_id,
        text=text,
        finish_reason=original.finish_reason,
        parent=original,
    )
    Damage.objects.create(completion=copy, kind=kind, seed=seed)
    source = _slots_of_two().filter(completion=original).select_related("comparison__prompt").earliest("pk").comparison
    comparison = make_check(source, purpose, 2, repeats=source)
    winner = random.Random(f"{seed}:{original.pk}").randrange(2)  # noqa: S311  (each person sees an order of their own)
    Slot.objects.create(comparison=comparison, number=winner, completion=original)
    Slot.objects.create(comparison=comparison, number=1 - winner, completion=copy)
    why = f"The other answer was damaged on purpose: {Damage.Kind(kind).label}."
    _make(comparison, best_of(winner, 2, reason=why), by)
    return comparison


@transaction.atomic
def take_out(check: Check, by: User) -> None:
    """Give it to nobody any more, and let it count in no figure. What people said of it stays stored."""
    Check.objects.filter(pk=check.pk, taken_out_at=None).update(taken_out_at=Now(), taken_out_by=by)
    review.unsettle(check.comparison, by)


def listed(project: Project, purpose: str) -> "QuerySet[Check]":
    """Return the project's checks of this purpose, those in use first, the newest of them first."""
    found = Check.objects.filter(comparison__project=project, comparison__purpose=purpose)
    related = found.select_related("comparison__prompt", "added_by", "taken_out_by")
    return related.order_by(F("taken_out_at").desc(nulls_first=True), "-pk")


@dataclass
class Outcome:
    """How people did with a check. `said` leaves skips and flags aside."""

    check: Check
    expected: Revision | None
    damage: Damage | None
    said: int = 0
    same: int = 0


def outcomes(checks: Iterable[Check]) -> list[Outcome]:
    """Return how people did with each of these. Four queries: settlements, damages, votes, first practices."""
    checks = list(checks)
    pks = [check.comparison_id for check in checks]
    settlements = Judgement.objects.standing_settlements().filter(comparison__in=pks).select_related("current__person")
    expected = {one.comparison_id: one.current for one in settlements}
    slots = Slot.objects.filter(comparison__in=pks, completion__damage__isnull=False)
    damages = {slot.comparison_id: slot.completion.damage for slot in slots.select_related("completion__damage")}
    found = {pk: Outcome(check, expected.get(pk), damages.get(pk)) for pk, check in zip(pks, checks, strict=True)}
    votes = Revision.objects.votes().filter(judgement__comparison__in=pks, kind__in=COUNTED).select_related("judgement")
    for vote in votes:
        outcome = found[vote.judgement.comparison_id]
        outcome.said += 1
        outcome.same += outcome.expected is not None and says_the_same(vote, outcome.expected)
    for practised in Practised.objects.filter(comparison__in=pks, run=1):
        found[practised.comparison_id].said += 1
        found[practised.comparison_id].same += practised.agreed
    return list(found.values())
