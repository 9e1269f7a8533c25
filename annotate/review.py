"""What admins do about judgements: look through them, settle comparisons, leave people out and take that back."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from annotate.judging import Choice, Kind, record
from annotate.models import COUNTED, Comparison, Exclusion, Judgement, PreferencePair, Revision, excluded
from annotate.queue import leave_all, one_at_a_time
from projects.models import Project
from projects.signals import person_left

BATCH = 500  # comparisons whose judgements are counted again in one transaction


class Refused(ValueError):
    """A change that cannot be made. The text says why, and what to do instead."""


def listen() -> None:
    person_left.connect(on_person_left, dispatch_uid="annotate.review")


def on_person_left(project: Project | None, person: User, **_kwargs: object) -> None:
    """What lay before them can go to others at once."""
    leave_all(person, project)


def votes(project: Project) -> "QuerySet[Revision]":
    """Return what everybody says now, with `left_out`, `opposed` and `settled`.

    Two people are opposed where they put the same two answers in opposite order, or where one found all of them bad
    and the other preferred one.
    """
    same = {"judgement__comparison": OuterRef("judgement__comparison")}
    others = Revision.objects.votes().filter(kind__in=COUNTED, **same).exclude(judgement=OuterRef("judgement"))
    settled = Judgement.objects.standing_settlements().filter(comparison=OuterRef("judgement__comparison"))
    counted = Revision.objects.votes().filter(project=project)
    return counted.with_left_out().annotate(
        opposed=Exists(_opposite_pairs()) | (Q(kind__in=COUNTED) & Exists(others.exclude(kind=OuterRef("kind")))),
        settled=Exists(settled),
    )


def _opposite_pairs() -> "QuerySet[PreferencePair]":
    """The pairs of a revision that somebody else, in the same comparison, decided the other way."""
    against = PreferencePair.objects.filter(
        chosen=OuterRef("rejected"),
        rejected=OuterRef("chosen"),
        revision__judgement__comparison=OuterRef("revision__judgement__comparison"),
        revision__judgement__current=F("revision"),
        revision__judgement__settles=False,
    )
    return PreferencePair.objects.filter(Exists(against), revision=OuterRef("pk"))


def settlement(comparison: Comparison) -> Revision | None:
    """Return the admins' settlement that stands."""
    judgement = Judgement.objects.standing_settlements().filter(comparison=comparison).select_related("current__person")
    found = judgement.first()
    return found.current if found else None


def settle(comparison: Comparison, choice: Choice, by: User, shown: list[int], client_key: str = "") -> Revision:
    """Say what holds for a comparison, whatever people voted. It replaces an earlier settlement."""
    if choice.kind not in COUNTED or choice.edit:
        raise Refused("A settlement says which answers are better, or that all are bad.")
    return record(by, comparison, choice, shown=shown, client_key=client_key or f"settle {uuid.uuid4()}", settles=True)


@transaction.atomic
def unsettle(comparison: Comparison, by: User) -> None:
    """Let the votes count again."""
    Comparison.objects.select_for_update(of=("self",), no_key=True).get(pk=comparison.pk)
    if standing := settlement(comparison):
        key = f"unsettle {uuid.uuid4()}"
        record(by, comparison, Choice(Kind.WITHDRAWN), shown=standing.shown, client_key=key, settles=True)


def exclude(project: Project, person: User, since: datetime, by: User, reason: str = "") -> Exclusion:
    """Leave a person's judgements out from a moment on, those still to come with them.

    The places that they filled are free again. Nothing is deleted; datasets that are frozen stay as they are.

    Raises:
        Refused: their judgements are left out already.
    """
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one at a time
        one_at_a_time(person)  # what they submit now is counted, or knows of the exclusion
        if Exclusion.objects.filter(project=project, person=person, lifted_at=None).exists():
            raise Refused(f"The judgements of {person} are left out already. Take that back first.")
        exclusion = Exclusion.objects.create(project=project, person=person, since=since, reason=reason, created_by=by)
    count_again(project, person)
    return exclusion


def lift(exclusion: Exclusion, by: User) -> None:
    """Let the person's judgements count again."""
    with transaction.atomic():
        one_at_a_time(exclusion.person)
        Exclusion.objects.filter(pk=exclusion.pk, lifted_at=None).update(lifted_at=Now(), lifted_by=by)
    count_again(exclusion.project, exclusion.person)


def count_again(project: Project, person: User) -> None:
    """Count what fills the overlap of each comparison that a person has judged, in short transactions."""
    judged = Judgement.objects.votes().filter(person=person, comparison__project=project).order_by("comparison")
    pks = list(judged.values_list("comparison", flat=True))
    for start in range(0, len(pks), BATCH):
        _count_places(pks[start : start + BATCH])


@transaction.atomic
def _count_places(pks: list[int]) -> None:
    # Locked in one order, as people submit meanwhile.
    locked = list(Comparison.objects.filter(pk__in=pks).select_for_update(of=("self",), no_key=True).order_by("pk"))
    counting = Revision.objects.votes().filter(judgement__comparison__in=pks, kind__in=COUNTED)
    counting = counting.exclude(excluded(Now(), ""))
    filled = dict(counting.values_list("judgement__comparison").annotate(Count("pk")).order_by())
    for comparison in locked:
        comparison.judged = filled.get(comparison.pk, 0)
    Comparison.objects.bulk_update(locked, ["judged"])


@dataclass(frozen=True)
class LeftOut:
    """How much is left out of a project's numbers, pairs and datasets."""

    people: int
    judgements: int


def left_out(project: Project) -> LeftOut:
    exclusions = Exclusion.objects.at(Now()).filter(project=project)
    people = exclusions.count()
    if not people:
        return LeftOut(0, 0)
    judgements = Revision.objects.votes().filter(project=project, kind__in=COUNTED).filter(excluded(Now(), ""))
    return LeftOut(people, judgements.count())
