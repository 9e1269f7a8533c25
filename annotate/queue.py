"""Who judges what next."""

import random
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from annotate.models import Comparison, Judgement, Lease, Revision
from generation.models import SamplingItem, SamplingJob
from jobs.models import Job
from projects.models import Project

LEASE = timedelta(minutes=30)
MOST_LEASES = 2  # a person: what they took back, and what lay before them then


def live() -> Q:
    return Q(expires_at__gt=Now())


def open_to(person: User, project: Project) -> "QuerySet[Comparison]":
    """Return the comparisons with a free place that this person has not judged, in the order of the queue."""
    mine = Judgement.objects.filter(person=person, comparison=OuterRef("pk"))
    others = Lease.objects.filter(live(), comparison=OuterRef("pk")).exclude(person=person)
    # Subqueries, not a join and groups: PostgreSQL does not lock grouped rows.
    taken = Subquery(others.order_by().values("comparison").annotate(count=Count("pk")).values("count"))
    unfinished = Comparison.objects.filter(project=project, judged__lt=project.overlap)
    unfinished = unfinished.exclude(Exists(mine.exclude(current__kind=Revision.Kind.WITHDRAWN)))
    free = unfinished.filter(judged__lt=project.overlap - Coalesce(taken, 0))
    return free.order_by("-priority", "shuffle", "pk")


@transaction.atomic
def next_lease(person: User, project: Project) -> Lease | None:
    """Return the comparison that lies before this person, or lease the next one; None when nothing is left."""
    one_at_a_time(person)
    Lease.objects.filter(person=person).exclude(live()).delete()
    held = Lease.objects.filter(person=person, comparison__project=project).select_related("comparison__prompt")
    if lease := held.order_by("-opened_at", "-pk").first():
        Lease.objects.filter(pk=lease.pk).update(expires_at=Now() + LEASE)
        return lease
    comparison = _lock_next(person, project)
    return lease_to(person, comparison) if comparison else None


def one_at_a_time(person: User) -> None:
    """Let this person's tabs take turns until the transaction ends. On SQLite it holds the only write lock anyway."""
    User.objects.select_for_update(no_key=True).get(pk=person.pk)


def _lock_next(person: User, project: Project) -> Comparison | None:
    """Lock the first comparison with a free place, so that its last place is given away once.

    Those that others have locked come last: most often they are about to lose their place.
    """
    candidates = open_to(person, project).select_related("prompt")
    at_once, in_turn = (candidates.select_for_update(of=("self",), skip_locked=skip) for skip in (True, False))
    while comparison := at_once.first() or in_turn.first():
        # Asked again under the lock: the place may have been given away in between.
        if candidates.filter(pk=comparison.pk).exists():
            return comparison
    return None


def lease_to(person: User, comparison: Comparison) -> Lease:
    """Put a comparison before a person, its answers in an order of their own."""
    others = Lease.objects.filter(person=person).exclude(comparison=comparison).order_by("-opened_at", "-pk")
    Lease.objects.filter(pk__in=[lease.pk for lease in others[MOST_LEASES - 1 :]]).delete()
    shown = list(range(comparison.slots))
    random.SystemRandom().shuffle(shown)
    lease, created = Lease.objects.get_or_create(
        comparison=comparison, person=person, defaults={"shown": shown, "expires_at": Now() + LEASE}
    )
    if created:
        lease.refresh_from_db(fields=["opened_at", "expires_at"])
    return lease


def left_for(person: User, project: Project) -> int:
    """Return how many comparisons are open to this person."""
    return open_to(person, project).count()


def prompts_coming(project: Project) -> int:
    """Return how many prompts are being sampled for judging."""
    pending = SamplingItem.objects.filter(status=SamplingItem.Status.PENDING, job__project=project)
    jobs = pending.filter(job__purpose=SamplingJob.Purpose.JUDGING)
    return jobs.filter(job__status__in=[Job.Status.QUEUED, Job.Status.RUNNING]).count()


def held_by_others(person: User, project: Project) -> int:
    """Return how many comparisons lie before other people: one that they leave comes back to the queue."""
    return Lease.objects.filter(live(), comparison__project=project).exclude(person=person).count()
