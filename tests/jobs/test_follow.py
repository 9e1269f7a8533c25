import io

import pytest
from django.core.management.base import CommandError, OutputWrapper

from jobs import follow as following
from jobs.follow import follow
from jobs.models import Job


@pytest.fixture
def job(db):
    return Job.objects.create(queue="light", task="none", title="import of prompts", total=3)


@pytest.fixture
def meanwhile(monkeypatch):
    """Return a function that sets what happens between one look at the job and the next."""

    def script(*steps):
        waiting = iter(steps)
        monkeypatch.setattr(following, "wait", lambda: Job.objects.update(**next(waiting)))

    return script


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_writes_a_line_per_change(job, meanwhile):
    same = {"status": "running", "progress": 1}
    meanwhile(same, same, {"message": "Waiting for the device."}, {"status": "succeeded", "progress": 3})
    output = io.StringIO()
    follow(job.pk, OutputWrapper(output))
    assert output.getvalue().splitlines() == [
        "import of prompts: queued, 0 of 3",
        "import of prompts: running, 1 of 3",
        "import of prompts: running, Waiting for the device.",
        "import of prompts: succeeded, 3 of 3",
    ]


def test_it_rewrites_one_line_on_a_terminal(job, meanwhile):
    meanwhile({"status": "succeeded", "progress": 3})
    output = Terminal()
    follow(job.pk, OutputWrapper(output))
    assert output.getvalue() == (
        "\r\x1b[Kimport of prompts: queued, 0 of 3\r\x1b[Kimport of prompts: succeeded, 3 of 3\n"
    )


def test_a_failed_job_ends_it_with_the_jobs_own_error(job, meanwhile):
    meanwhile({"status": "failed", "error": "The disk is full."})
    with pytest.raises(CommandError, match=r"^The disk is full\.$") as raised:
        follow(job.pk, OutputWrapper(io.StringIO()))
    assert raised.value.returncode == 1


def test_a_cancelled_job_ends_it_too(job, meanwhile):
    meanwhile({"status": "cancelled"})
    with pytest.raises(CommandError, match="import of prompts: somebody cancelled it."):
        follow(job.pk, OutputWrapper(io.StringIO()))


def test_ctrl_c_stops_looking_and_not_the_job(job, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "wait", interrupted)
    with pytest.raises(CommandError, match="import of prompts: goes on without this terminal.") as raised:
        follow(job.pk, OutputWrapper(io.StringIO()))
    assert raised.value.returncode == 130
    assert Job.objects.get(pk=job.pk).status == Job.Status.QUEUED
