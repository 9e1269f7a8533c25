"""The janitor: announces queued jobs again, and puts back jobs whose runner died."""

import logging
from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from jobs.attempts import MOST_STALLS, announce
from jobs.models import STALE_AFTER, Job

logger = logging.getLogger(__name__)

ANNOUNCE_AGAIN_AFTER = timedelta(seconds=60)


def put_back_stale_jobs() -> None:
    """Queue again what a dead runner left; give up what died three times without progress."""
    stale = Job.objects.stale()
    seconds = int(STALE_AFTER.total_seconds())
    given_up = stale.filter(stalls__gte=MOST_STALLS).update(
        status=Job.Status.FAILED,
        finished_at=Now(),
        error=f"Its worker stopped without a word {MOST_STALLS + 1} times and nothing was done in between. "
        "The usual reason is too little memory: look into the worker's log, then resume.",
    )
    put_back = stale.update(
        status=Job.Status.QUEUED,
        stalls=F("stalls") + 1,
        announced_at=None,
        message=f"Its worker was silent for {seconds} seconds. Queued again; nothing is lost.",
    )
    if given_up or put_back:
        logger.warning("Jobs whose runner died: %d queued again, %d given up.", put_back, given_up)


def announce_queued_jobs() -> None:
    """Announce queued jobs whose message may be lost. A doubled message does no harm."""
    unheard = Q(announced_at=None) | Q(announced_at__lt=Now() - ANNOUNCE_AGAIN_AFTER)
    for job in Job.objects.queued().filter(unheard):
        announce(job)


def finish_cancelled_jobs() -> None:
    """A job that was put back while somebody cancelled it has no runner that could see the wish."""
    Job.objects.queued().filter(cancel_requested=True).update(status=Job.Status.CANCELLED, finished_at=Now())


def tidy() -> None:
    finish_cancelled_jobs()
    put_back_stale_jobs()
    announce_queued_jobs()
