"""Running a job: submit, announce, claim, and the writes that only the present attempt may make."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from celery import current_app
from django.db import transaction
from django.db.models import Case, F, IntegerField, Q, When
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from jobs import stopping
from jobs.models import Job, JobQuerySet

logger = logging.getLogger(__name__)

MOST_STALLS = 3  # times a job is put back without progress in between


class JobError(Exception):
    """The job cannot be done. The text tells a person why and what to do."""


class Superseded(Exception):
    """Another attempt has the job now, or it has ended: this runner must stop and write nothing."""


class CancelRequested(Exception):
    """A person asked for the job to end."""


class Died(Exception):
    """What the job ran in has died, and may well do better next time. The text says what happened."""


class StopRequested(Exception):
    """This process is being stopped: the job goes back to the queue."""


def submit(job: Job) -> None:
    """Save a new job and announce it once the transaction is committed."""
    job.save()
    transaction.on_commit(lambda: announce(job))


def announce(job: Job) -> None:
    """Tell the workers to look at this row. A message that gets lost is sent again by the janitor."""
    try:
        current_app.send_task(job.task, args=[job.pk], queue=job.queue)
    except OperationalError as error:
        logger.warning("The broker did not take the message for %s: %s. The janitor will try again.", job, error)
        return
    Job.objects.filter(pk=job.pk).update(announced_at=Now())


def cancel(job: Job) -> None:
    """Cancel a queued job at once; ask the runner of a running one to stop. Others stay as they are."""
    Job.objects.queued().filter(pk=job.pk).update(status=Job.Status.CANCELLED, finished_at=Now(), message="")
    Job.objects.running().filter(pk=job.pk).update(cancel_requested=True)


def resume(job: Job) -> bool:
    """Queue a failed or cancelled job again; return whether it was one."""
    ended = Job.objects.filter(pk=job.pk, status__in=[Job.Status.FAILED, Job.Status.CANCELLED])
    done = ended.update(
        status=Job.Status.QUEUED,
        cancel_requested=False,
        stalls=0,
        best_progress=0,
        error="",
        message="",
        finished_at=None,
    )
    if done:
        transaction.on_commit(lambda: announce(job))
    return bool(done)


@dataclass(frozen=True)
class Attempt:
    """One claim of one job. Each write names the attempt; 0 rows means that it is no longer ours."""

    job_id: int
    number: int

    def beat(self, *, progress: int | None = None, total: int | None = None, message: str | None = None) -> None:
        """Show that the runner lives, and what it does; to be called about once a second.

        Raises:
            StopRequested, CancelRequested, Superseded: the runner must end.
        """
        values: dict[str, object] = {"heartbeat": Now()}
        if message is not None:
            values["message"] = message[:500]
        if total is not None:
            values["total"] = total
        if progress is not None:
            # Getting further than any attempt before pays off the stalls: what dies at the same place is given up.
            further = Q(best_progress__lt=progress)
            values["stalls"] = Case(When(further, then=0), default=F("stalls"), output_field=IntegerField())
            best = Case(When(further, then=progress), default=F("best_progress"), output_field=IntegerField())
            values["best_progress"] = best
            values["progress"] = progress
        self._update(**values)
        if Job.objects.values_list("cancel_requested", flat=True).get(pk=self.job_id):
            raise CancelRequested
        if stopping.stop_requested():
            raise StopRequested

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction in which the job is surely still ours: the row is locked until it is committed."""
        with transaction.atomic():
            self._update(heartbeat=Now())
            yield

    def finish(self, status: Job.Status, *, error: str = "", message: str = "") -> None:
        self._update(status=status, error=error, message=message, finished_at=Now())

    def requeue(self, message: str) -> None:
        self._update(status=Job.Status.QUEUED, message=message, announced_at=None)

    def retry(self, reason: str) -> None:
        """Queue the job again, or give it up when it has got nowhere too often."""
        stalls = Job.objects.values_list("stalls", flat=True).get(pk=self.job_id)
        if stalls >= MOST_STALLS:
            self.finish(Job.Status.FAILED, error=f"{reason} That was {stalls + 1} times without progress in between.")
        else:
            self._update(status=Job.Status.QUEUED, stalls=stalls + 1, message=reason[:500], announced_at=None)

    def _rows(self) -> JobQuerySet:
        return Job.objects.running().filter(pk=self.job_id, attempt=self.number)

    def _update(self, **values: object) -> None:
        if not self._rows().update(**values):
            raise Superseded(f"Job {self.job_id}: attempt {self.number} has ended.")


def run_job(job_id: int, work: Callable[[Attempt], None]) -> None:
    """Claim the job and do the work; write how it ended. A second delivery of the message finds it claimed."""
    number = Job.objects.claim(job_id)
    if number is None:
        return
    attempt = Attempt(job_id, number)
    try:
        _end(attempt, work)
    except Superseded as superseded:
        logger.warning("%s This runner stops.", superseded)


def _end(attempt: Attempt, work: Callable[[Attempt], None]) -> None:
    try:
        work(attempt)
    except CancelRequested:
        attempt.finish(Job.Status.CANCELLED)
    except StopRequested:
        attempt.requeue("Waiting for the worker to start again.")
    except Died as death:
        attempt.retry(str(death))
    except JobError as error:
        attempt.finish(Job.Status.FAILED, error=str(error))
    except Superseded:
        raise
    except Exception as error:
        logger.exception("Job %s failed.", attempt.job_id)
        text = f"{type(error).__name__}: {error}. This is a fault in Winnow; the worker's log has the details."
        attempt.finish(Job.Status.FAILED, error=text)
    else:
        attempt.finish(Job.Status.SUCCEEDED)
