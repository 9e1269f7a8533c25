"""Who judges what next."""

import random
from collections.abc import Collection, Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from annotate import checks
from annotate.models import EVALUATION_PLACES, REAL, SHUFFLED, Comparison, Lease, Seat
from generation.models import SamplingItem, SamplingJob
from jobs.models import Job
from jobs.prepared import Given, Prepared, PreparedInsert
from projects.models import Project

LEASE = timedelta(minutes=30)
RENEWED_BELOW = timedelta(minutes=25)  # not at each look: it would be a write to the disk each time
MOST_LEASES = 2  # a person: what lies before them, and what comes after it or lay there before they took one back
MOST_COUNTED = 10_000  # what is left is counted up to here
FIRST_PLACE = -(2**63)  # before all others


PERSON, PROJECT, COMPARISON = Given("person"), Given("project"), Given("comparison")


def live() -> Q:
    return Q(expires_at__gt=Now())


def open_to(person: User | Given, project: Project | Given) -> "QuerySet[Comparison]":
    """Return the comparisons with a free place that this person has not judged, in the order of the queue."""
    others = Lease.objects.filter(live(), comparison=OuterRef("pk")).exclude(person=person)
    # Subqueries, not a join and groups: PostgreSQL does not lock grouped rows.
    taken = Subquery(others.order_by().values("comparison").annotate(count=Count("pk")).values("count"))
    unfinished = checks.unjudged(person).filter(project=project, judged__lt=F("wanted"))
    free = unfinished.filter(judged__lt=F("wanted") - Coalesce(taken, 0))
    return free.order_by("place", "pk")


def _free() -> "QuerySet[Comparison]":
    """What is open to a person besides a comparison that lies before them, from a place in the queue on."""
    free = open_to(PERSON, PROJECT).filter(place__gte=Given("place")).exclude(pk=Given("held"))
    return free.select_related("prompt")


_before_person = Prepared(
    lambda: Lease.objects.filter(person=PERSON).annotate(now=Now()).order_by("turn", "opened_at", "pk")
)
_seat = Prepared(lambda: Seat.objects.filter(person=PERSON, project=PROJECT))
_person_locked = Prepared(lambda: User.objects.select_for_update(no_key=True).filter(pk=PERSON).values_list("pk"))
_first_free = Prepared(lambda: _free().select_for_update(of=("self",), no_key=True)[:1])
_first_free_unlocked = Prepared(lambda: _free().select_for_update(of=("self",), no_key=True, skip_locked=True)[:1])
_store_lease = PreparedInsert(lambda: Lease(expires_at=Now() + LEASE))
_is_free = Prepared(lambda: _free().filter(pk=COMPARISON).values_list("pk"))


@transaction.atomic(savepoint=False)
def next_lease(person: User, project: Project, have: Collection[int] = (), visit: str = "") -> Lease | None:
    """Return what lies before this person and is not among the comparisons they `have`, or lease the next one.

    None when nothing is left, or as much as may be lies before them. What does is theirs for another half hour.
    """
    one_at_a_time(person)
    return _next(person, project, have, visit, wait=True)


def go_on(person: User, project: Project, have: Collection[int], visit: str) -> Lease | None:
    """Return `next_lease` in the transaction of a judgement, which has the locks of the person and of a comparison.

    Who has locked a comparison must not wait for another one: what others have locked is passed over.
    """
    return _next(person, project, have, visit, wait=False)


def _next(person: User, project: Project, have: Collection[int], visit: str, wait: bool) -> Lease | None:
    mine = _renewed(person, project, visit)
    here = [lease for lease in mine if lease.project_id == project.pk]
    if waiting := next((lease for lease in here if lease.comparison_id not in have), None):
        return waiting
    if len(here) == MOST_LEASES:
        return None
    seat = _seat.first(person=person.pk, project=project.pk) or Seat.objects.create(person=person, project=project)
    check = checks.due(person, project, seat)
    if check is None:
        comparison = _lock_first(person, project, seat, here, wait)
        if comparison is None:
            return None
        checks.count_given(seat, place=comparison.place if comparison.place < EVALUATION_PLACES else None)
    else:
        comparison = check
        checks.count_given(seat)
    elsewhere = [lease for lease in mine if lease.project_id != project.pk]
    _delete(elsewhere[MOST_LEASES - 1 - len(here) :])
    return _lease(person, comparison, visit)


def _renewed(person: User, project: Project, visit: str) -> Sequence[Lease]:
    """Return all that lies before this person, the first first, without what has run out.

    What lies there in this project is theirs for another half hour, and belongs to the page that asks.
    """
    every = _before_person(person=person.pk)
    _delete([lease for lease in every if lease.expires_at <= lease.now])
    mine = [lease for lease in every if lease.expires_at > lease.now]
    here = [lease for lease in mine if lease.project_id == project.pk]
    if any(lease.visit != visit or lease.expires_at - lease.now < RENEWED_BELOW for lease in here):
        Lease.objects.filter(pk__in=[lease.pk for lease in here]).update(expires_at=Now() + LEASE, visit=visit)
    return mine


def _delete(leases: Sequence[Lease]) -> None:
    if leases:
        Lease.objects.filter(pk__in=[lease.pk for lease in leases]).delete()


@transaction.atomic(savepoint=False)
def stay(person: User, project: Project, have: Collection[int], visit: str = "") -> None:
    """Keep what lies before this person theirs; what was freed becomes theirs again if it has a free place."""
    one_at_a_time(person)
    gone = set(have) - {lease.comparison_id for lease in _renewed(person, project, visit)}
    locked = project.comparisons.select_for_update(of=("self",), no_key=True)
    for comparison in locked.filter(pk__in=gone).order_by("pk"):
        if _is_open(person, comparison):
            lease_to(person, comparison, visit=visit)


def _is_open(person: User, comparison: Comparison) -> bool:
    if comparison.purpose in REAL:
        return open_to(person, comparison.project).filter(pk=comparison.pk).exists()
    return checks.is_theirs(person, comparison)


@transaction.atomic(savepoint=False)
def leave(person: User, project: Project, visit: str) -> None:
    """Free what lies on a page that this person has left: somebody else can have it.

    A page that is opened anew takes over before the old one says that it was left: nothing is freed then.
    """
    one_at_a_time(person)
    Lease.objects.filter(person=person, project=project, visit=visit).delete()


@transaction.atomic(savepoint=False)
def leave_all(person: User, project: Project | None) -> None:
    """Free all that lies before a person, in one project or, without it, in every one."""
    one_at_a_time(person)
    leases = Lease.objects.filter(person=person)
    (leases.filter(project=project) if project else leases).delete()


def one_at_a_time(person: User) -> None:
    """Let this person's tabs take turns until the transaction ends. SQLite's only write lock does so by itself."""
    if connection.features.has_select_for_update:
        _person_locked(person=person.pk)


def _lock_first(person: User, project: Project, seat: Seat, here: Sequence[Lease], wait: bool) -> Comparison | None:
    """Lock the first comparison with a free place, so that its last place is given away once.

    The search goes on where the last one ended: whoever has judged thousands that others have still to judge does
    not walk past them each time. At the end it starts over, for what has become free behind. Those that others have
    locked come last: most often they are about to lose their place. Blind A/Bs have the end of the queue: their share
    begins there, and else they come when nothing else is left.
    """
    ids = {"person": person.pk, "project": project.pk, "held": here[0].comparison_id if here else 0}
    ahead = FIRST_PLACE if seat.place is None else seat.place
    rounds = [(_first_free_unlocked, ahead), (_first_free_unlocked, FIRST_PLACE)]
    if checks.is_evaluation_due(person, project, seat):
        rounds.insert(0, (_first_free_unlocked, EVALUATION_PLACES))
    if wait:
        rounds.append((_first_free, FIRST_PLACE))
    for locking, place in rounds:
        while comparison := locking.first(**ids, place=place):
            if FIRST_PLACE < place < EVALUATION_PLACES <= comparison.place:
                break  # what has become free behind comes before a blind A/B that is not due
            # Asked again under the lock: the place may have been given away in between.
            if not connection.features.has_select_for_update or _is_free(**ids, place=place, comparison=comparison.pk):
                return comparison
    return None


def lease_to(person: User, comparison: Comparison, *, visit: str = "") -> Lease:
    """Put a comparison before a person, its answers in an order of their own."""
    _make_room(person, comparison)
    known = Lease.objects.filter(comparison=comparison, person=person).first()
    return known or _lease(person, comparison, visit)


def _lease(person: User, comparison: Comparison, visit: str) -> Lease:
    lease = Lease(project_id=comparison.project_id, comparison=comparison, person=person, visit=visit)
    lease.shown = order_for(person, comparison)
    return _store_lease(lease)


def lease_in_front(person: User, comparison: Comparison) -> Lease:
    """Put a comparison before a person, in front of what lies there."""
    _make_room(person, comparison)
    first = Lease.objects.filter(person=person).aggregate(turn=Min("turn"))["turn"] or 0
    facts = {"turn": first - 1, "expires_at": Now() + LEASE}
    new = {"project_id": comparison.project_id, "shown": order_for(person, comparison)}
    lease, _ = Lease.objects.update_or_create(
        comparison=comparison, person=person, defaults=facts, create_defaults=facts | new
    )
    return lease


def _make_room(person: User, comparison: Comparison) -> None:
    others = Lease.objects.filter(person=person).exclude(comparison=comparison).order_by("turn", "opened_at", "pk")
    here_first = sorted(others, key=lambda lease: lease.project_id != comparison.project_id)
    _delete(here_first[MOST_LEASES - 1 :])


def order_for(person: User, comparison: Comparison) -> list[int]:
    """Return the slots in the order that this person always sees: nobody can foretell it, a reload keeps it."""
    if comparison.purpose == Comparison.Purpose.REPEAT:
        return checks.other_order(comparison)
    shown = list(range(comparison.slots))
    random.Random(f"{settings.SECRET_KEY}:{comparison.shuffle}:{comparison.pk}:{person.pk}").shuffle(shown)  # noqa: S311
    return shown


def call_back(comparison: Comparison) -> None:
    """Let those who are past a new comparison's priority come back to it."""
    level_ends = (1 - comparison.priority) * SHUFFLED
    Seat.objects.filter(project=comparison.project_id, place__gte=level_ends).update(place=comparison.place)


def left_for(person: User, project: Project) -> int:
    """Return how many comparisons are open to this person, at most MOST_COUNTED."""
    return open_to(person, project)[:MOST_COUNTED].count()


def prompts_coming(project: Project) -> int:
    """Return how many prompts are being sampled for judging."""
    pending = SamplingItem.objects.filter(status=SamplingItem.Status.PENDING, job__project=project)
    jobs = pending.filter(job__purpose=SamplingJob.Purpose.JUDGING)
    return jobs.filter(job__status__in=[Job.Status.QUEUED, Job.Status.RUNNING]).count()


def held_by_others(person: User, project: Project) -> int:
    """Return how many comparisons lie before other people: one that they leave comes back to the queue."""
    return Lease.objects.filter(live(), project=project).exclude(person=person).count()
