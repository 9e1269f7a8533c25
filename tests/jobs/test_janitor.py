"""The janitor mends what lost messages and dead runners leave."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs import janitor
from jobs.attempts import MOST_STALLS
from jobs.models import STALE_AFTER, Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def announced(monkeypatch):
    """The ids of the jobs that were announced."""
    sent = []
    monkeypatch.setattr(janitor, "announce", lambda job: sent.append(job.pk))
    return sent


def make(**values):
    return Job.objects.create(queue="light", task="projects.tasks.run_import", title="a job", **values)


def test_it_puts_back_what_a_dead_runner_left(announced):
    dead = make(status=Job.Status.RUNNING, attempt=1, heartbeat=Now() - STALE_AFTER - timedelta(seconds=1))
    alive = make(status=Job.Status.RUNNING, attempt=1, heartbeat=Now())
    janitor.tidy()
    dead.refresh_from_db()
    alive.refresh_from_db()
    assert (dead.status, dead.stalls) == (Job.Status.QUEUED, 1)
    assert "silent for 30 seconds" in dead.message
    assert alive.status == Job.Status.RUNNING
    assert announced == [dead.pk]


def test_it_gives_up_what_gets_nowhere(announced):
    job = make(status=Job.Status.RUNNING, stalls=MOST_STALLS, heartbeat=Now() - STALE_AFTER - timedelta(seconds=1))
    janitor.tidy()
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert "4 times" in job.error
    assert announced == []


def test_it_announces_again_what_was_not_heard(announced):
    never = make()
    long_ago = make(announced_at=Now() - janitor.ANNOUNCE_AGAIN_AFTER - timedelta(seconds=1))
    make(announced_at=Now())
    make(status=Job.Status.SUCCEEDED)
    janitor.tidy()
    assert sorted(announced) == [never.pk, long_ago.pk]


def test_it_ends_a_cancelled_job_that_has_no_runner(announced):
    job = make(cancel_requested=True)
    janitor.tidy()
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    assert announced == []
