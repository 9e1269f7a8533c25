"""Checks among the work: gold comparisons, and what a person judged before, in another order.

The queue asks here, before it looks for the next comparison of its own, whether a check comes now. Nothing is asked
of the database where the project's shares are 0. The person's lock is held (annotate.queue.one_at_a_time).
"""

import random
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import LessThan

from annotate.models import (
    COUNTED,
    REAL,
    SHUFFLED,
    Check,
    Comparison,
    Judgement,
    Lease,
    Revision,
    Seat,
    Slot,
    new_seed,
)
from jobs.prepared import Given, PreparedChange, updating
from projects.models import Project

LATER = 20  # judgements after which a person may be asked the same again …
MUCH_LATER = timedelta(days=1)  # … or after so long
LOOKED_AT = 200  # judgements, of those that may be repeated, of which one is drawn


def due(person: User, project: Project, seat: Seat) -> Comparison | None:
    """Return the check that this person is given now, or None: then comes what the queue has.

    The seat's seed and how many it was given decide: who asks twice gets the same answer.
    """
    if not project.has_checks:
        return None
    draw = random.Random(f"{seat.seed}:{person.pk}:{seat.given}")  # noqa: S311  (the seed is secret)
    lot = draw.random() * 100
    if lot < project.gold_percent:
        return _one_of(gold_for(person, project), draw)
    if lot < project.gold_percent + project.repeat_percent:
        return _repeat(person, project, draw)
    return None


def is_evaluation_due(person: User, project: Project, seat: Seat) -> bool:
    """Whether this person's next comparison is of a blind A/B, if one is open to them.

    Drawn like checks, and for each person alone: so the share holds from the first comparison to the last, however much
    else waits, which it would not if places in the queue were to hold it.
    """
    if not project.evaluation_percent:
        return False
    draw = random.Random(f"{seat.seed}:{person.pk}:{seat.given}:evaluation")  # noqa: S311  (the seed is secret)
    return draw.random() * 100 < project.evaluation_percent


def is_theirs(person: User, comparison: Comparison) -> bool:
    """Whether a check that lay before a person may lie there again."""
    if comparison.purpose == Comparison.Purpose.GOLD:
        return gold_for(person, comparison.project).filter(pk=comparison.pk).exists()
    return comparison.only_for_id == person.pk and unjudged(person).filter(pk=comparison.pk).exists()


def valid() -> Q:
    """Gold and practice comparisons that are not taken out, and whose answer is known.

    Found from the few checks there are: the comparisons of a project may be a million.
    """
    settled = Judgement.objects.standing_settlements().filter(comparison=OuterRef("pk"))
    return Q(Exists(settled), pk__in=Check.objects.filter(taken_out_at=None).values("comparison"))


def gold_for(person: User, project: Project) -> "QuerySet[Comparison]":
    """Return the gold comparisons that a person has not had, nor seen as real ones, nor settled themselves."""
    gold = unjudged(person).filter(valid(), project=project, purpose=Comparison.Purpose.GOLD)
    seen = Judgement.objects.votes().filter(person=person, comparison=OuterRef("repeats"))
    here = Q(comparison=OuterRef("pk")) | Q(comparison=OuterRef("repeats"))
    before_them = Lease.objects.filter(here, person=person)
    settled = Judgement.objects.filter(here, settles=True, revisions__person=person)
    return gold.exclude(Exists(seen) | Exists(before_them) | Exists(settled))


def unjudged(person: "User | Given") -> "QuerySet[Comparison]":
    """Return the comparisons that a person has not judged, or has taken their judgement of back."""
    mine = Judgement.objects.votes().filter(person=person, comparison=OuterRef("pk"))
    stands = mine.exclude(current__kind=Revision.Kind.WITHDRAWN)
    # With NOT EXISTS, or IS NULL, PostgreSQL would read all that the person ever judged: it takes that for a few rows.
    return Comparison.objects.filter(LessThan(Coalesce(Subquery(stands.values("pk")), 0), 1))


def _one_of(found: "QuerySet[Comparison]", draw: random.Random) -> Comparison | None:
    pks = list(found.order_by("pk").values_list("pk", flat=True))
    return Comparison.objects.select_related("prompt").get(pk=draw.choice(pks)) if pks else None


def _repeat(person: User, project: Project, draw: random.Random) -> Comparison | None:
    """Return a repeat for a person: one that they left unjudged, or a new one."""
    known = Comparison.objects.filter(only_for=person, project=project)
    if left := _one_of(unjudged(person).filter(only_for=person, project=project, leases=None), draw):
        return left
    repeated = known.filter(repeats=OuterRef("judgement__comparison"))
    real = Revision.objects.filter(kind__in=COUNTED, judgement__comparison__purpose__in=REAL)
    old = real.filter(pk__in=_long_ago(person, project)).exclude(Exists(repeated))
    pks = list(old.order_by("pk").values_list("judgement__comparison", flat=True))
    return make_repeat(person, Comparison.objects.get(pk=draw.choice(pks))) if pks else None


def _long_ago(person: User, project: Project) -> list[int]:
    """Return the newest of the revisions that are old enough for the same to be asked again."""
    # By time, which has an index with the person. By id alone PostgreSQL would walk back through what everybody said.
    said = Revision.objects.votes().filter(person=person, project=project).order_by("-submitted_at", "-pk")
    old = Q(submitted_at__lt=Now() - MUCH_LATER)
    newest = said.annotate(old=old).values_list("pk", "old")[: LATER + LOOKED_AT]
    return [pk for number, (pk, old) in enumerate(newest) if old or number >= LATER]


def make_repeat(person: User, original: Comparison) -> Comparison:
    return copy_of(original, Comparison.Purpose.REPEAT, only_for=person)


def other_order(repeat: Comparison) -> list[int]:
    """Return the slots in the opposite order of what the person saw: of every two answers the other comes first."""
    said = Revision.objects.votes().filter(judgement__comparison=repeat.repeats_id, person=repeat.only_for_id)
    before = said.values_list("shown", flat=True).first()
    return list(reversed(before or range(repeat.slots)))


def copy_of(original: Comparison, purpose: str, only_for: User | None = None) -> Comparison:
    """Make a comparison of the same answers in the same slots that the queue never opens by itself."""
    copy = make_check(original, purpose, original.slots, repeats=original, only_for=only_for)
    slots = original.answers.order_by("pk").values_list("number", "completion")
    Slot.objects.bulk_create(Slot(comparison=copy, number=number, completion_id=pk) for number, pk in slots)
    return copy


def make_check(like: Comparison, purpose: str, slots: int, **about: Any) -> Comparison:
    """Make a comparison of the same prompt and context, still without answers."""
    return Comparison.objects.create(
        project_id=like.project_id,
        prompt=like.prompt,
        context_id=like.context_id,
        purpose=purpose,
        slots=slots,
        shuffle=new_seed() % SHUFFLED,
        wanted=0,
        **about,
    )


def says_the_same(one: Revision, other: Revision) -> bool:
    """Whether two judgements of the same slots put the same first, or both find all of them bad."""
    if one.kind != other.kind:
        return False
    return one.kind != Revision.Kind.RANKED or set(one.tiers[0]) == set(other.tiers[0])


def told_left(project: Project, left: int) -> int:
    """Return what people are told of how many comparisons are left: where checks come, that it is below the next ten.

    What is left counts real ones alone. An exact number that stays after a choice would tell that it was a check, and
    0 beside a comparison that it is one.
    """
    return (left // 10 + 1) * 10 if project.has_checks else left


_count_given = PreparedChange(
    lambda: updating(
        Seat.objects.filter(pk=Given("seat")), given=F("given") + 1, place=Coalesce(Given("place"), F("place"))
    )
)


def count_given(seat: Seat, place: int | None = None) -> None:
    """Count what the queue has put before a person: the next draw is another one. Its own search got to a `place`."""
    _count_given(seat=seat.pk, place=place)
