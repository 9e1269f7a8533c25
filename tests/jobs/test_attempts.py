"""A job's life: claimed once, written to by its present attempt only, ended in words."""

import pytest
from django.db import transaction

from jobs import stopping
from jobs.attempts import (
    MOST_STALLS,
    Attempt,
    CancelRequested,
    Died,
    JobError,
    StopRequested,
    Superseded,
    cancel,
    resume,
    run_job,
)
from jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    return Job.objects.create(queue=Job.Queue.LIGHT, task="projects.tasks.run_import", title="a job", total=10)


def claimed(job):
    return Attempt(job.pk, Job.objects.claim(job.pk))


def test_it_works(job):
    run_job(job.pk, lambda attempt: attempt.beat(progress=10))
    job.refresh_from_db()
    assert (job.status, job.progress, job.attempt) == (Job.Status.SUCCEEDED, 10, 1)
    assert job.finished_at


def test_a_second_delivery_finds_it_claimed(job):
    calls = []
    run_job(job.pk, lambda attempt: run_job(job.pk, calls.append))
    assert calls == []


def test_an_earlier_attempt_writes_nothing(job):
    first = claimed(job)
    first.requeue("again")
    second = claimed(job)
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(Superseded):
        first.beat(progress=3)
    with pytest.raises(Superseded), first.writing():
        Job.objects.create(queue="light", task="x", title="must not be stored")
    with pytest.raises(Superseded):
        first.finish(Job.Status.FAILED)
    second.beat(progress=4)
    job.refresh_from_db()
    assert (job.progress, job.status) == (4, Job.Status.RUNNING)
    assert not Job.objects.filter(title="must not be stored").exists()


def test_what_is_written_under_a_lost_attempt_is_rolled_back(job):
    attempt = claimed(job)

    def write():
        with attempt.writing():
            Job.objects.create(queue="light", task="x", title="half written")
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError), transaction.atomic():
        write()
    assert not Job.objects.filter(title="half written").exists()


def test_a_job_error_is_told_in_its_words(job):
    def work(attempt):
        raise JobError("The model is gone. Register it again.")

    run_job(job.pk, work)
    job.refresh_from_db()
    assert (job.status, job.error) == (Job.Status.FAILED, "The model is gone. Register it again.")


def test_an_unknown_fault_fails_the_job_by_name(job):
    run_job(job.pk, lambda attempt: 1 // 0)
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert job.error.startswith("ZeroDivisionError: integer division or modulo by zero. This is a fault in Winnow")


def test_cancelling_a_queued_job_ends_it_at_once(job):
    cancel(job)
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    assert Job.objects.claim(job.pk) is None


def test_cancelling_a_running_job_stops_its_runner(job):
    def work(attempt):
        cancel(job)
        attempt.beat()

    run_job(job.pk, work)
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    with pytest.raises(Superseded):
        Attempt(job.pk, 1).beat()


def test_beat_says_when_to_end(job, monkeypatch):
    attempt = claimed(job)
    attempt.beat()
    monkeypatch.setattr(stopping, "stop_requested", lambda: True)
    with pytest.raises(StopRequested):
        attempt.beat()
    cancel(job)
    with pytest.raises(CancelRequested):
        attempt.beat()


def test_a_stopping_worker_puts_its_job_back(job, monkeypatch):
    monkeypatch.setattr(stopping, "stop_requested", lambda: True)
    run_job(job.pk, lambda attempt: attempt.beat(progress=2))
    job.refresh_from_db()
    assert (job.status, job.progress, job.stalls) == (Job.Status.QUEUED, 2, 0)


def test_what_died_is_tried_again_until_it_gets_nowhere(job):
    def work(attempt):
        raise Died("The trainer was killed.")

    for stalls in range(1, MOST_STALLS + 1):
        run_job(job.pk, work)
        job.refresh_from_db()
        assert (job.status, job.stalls, job.message) == (Job.Status.QUEUED, stalls, "The trainer was killed.")
    run_job(job.pk, work)
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert job.error == "The trainer was killed. That was 4 times without progress in between."


def test_progress_forgives_earlier_stalls(job):
    Job.objects.update(stalls=2, best_progress=5)
    attempt = claimed(job)
    attempt.beat(progress=5)
    assert Job.objects.get().stalls == 2
    attempt.beat(progress=6)
    assert Job.objects.get().stalls == 0


def test_only_an_ended_job_can_be_resumed(job):
    assert resume(job) is False
    cancel(job)
    assert resume(job) is True
    job.refresh_from_db()
    assert (job.status, job.cancel_requested) == (Job.Status.QUEUED, False)


def test_dying_again_and_again_at_the_same_place_is_no_progress(job):
    """Each attempt of a round starts at its first step again: that alone must not pay off the stalls."""

    def work(attempt):
        for step in range(1, 6):
            attempt.beat(progress=step)
        raise Died("The trainer was killed.")

    for _ in range(MOST_STALLS + 2):
        run_job(job.pk, work)
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Job.Status.FAILED, MOST_STALLS + 1)
