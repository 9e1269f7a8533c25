"""The device's lease: one holder, ended by the holder's end, and sampling yields to a round."""

import pytest
from django.db.models.functions import Now

from jobs import devices
from jobs.attempts import Attempt, CancelRequested, JobError, Superseded, cancel
from jobs.models import Device, Job

pytestmark = pytest.mark.django_db
SAMPLING, TRAINING = Device.Purpose.SAMPLING, Device.Purpose.TRAINING


@pytest.fixture
def device():
    return Device.objects.create(name="local", kind="cpu", heartbeat=Now())


def attempt_of(title):
    job = Job.objects.create(queue="sampling", task="generation.tasks.run_sampling_job", title=title)
    return Attempt(job.pk, Job.objects.claim(job.pk))


def test_it_works(device):
    attempt = attempt_of("sampling 1")
    assert devices.acquire(attempt, SAMPLING, "/models/a", 16) == device
    device.refresh_from_db()
    assert (device.holder_id, device.purpose, device.wanted_checkpoint) == (attempt.job_id, SAMPLING, "/models/a")
    devices.release(device, attempt)
    device.refresh_from_db()
    assert device.holder is None


def test_two_jobs_never_hold_it(device):
    first, second = attempt_of("sampling 1"), attempt_of("sampling 2")
    assert devices.try_acquire(device.pk, first, SAMPLING) == ""
    assert devices.try_acquire(device.pk, second, SAMPLING) == "sampling 1"
    devices.release(device, second)
    assert devices.try_acquire(device.pk, second, SAMPLING) == "sampling 1"


def test_a_lease_ends_with_its_attempt(device):
    first, second = attempt_of("sampling 1"), attempt_of("sampling 2")
    devices.try_acquire(device.pk, first, SAMPLING)
    first.requeue("its worker died")
    assert devices.try_acquire(device.pk, second, SAMPLING) == ""


def test_sampling_yields_to_a_round(device):
    sampling, round, later = attempt_of("sampling 1"), attempt_of("round 1"), attempt_of("sampling 2")
    devices.try_acquire(device.pk, sampling, SAMPLING)
    assert not devices.must_yield(device)
    assert devices.try_acquire(device.pk, round, TRAINING) == "sampling 1"
    assert devices.must_yield(device)
    devices.release(device, sampling)
    assert devices.try_acquire(device.pk, later, SAMPLING) == "round 1"
    assert devices.try_acquire(device.pk, round, TRAINING) == ""
    assert not devices.must_yield(device)


def test_a_round_that_was_cancelled_while_waiting_holds_nobody_up(device):
    sampling, round = attempt_of("sampling 1"), attempt_of("round 1")
    devices.try_acquire(device.pk, sampling, SAMPLING)
    devices.try_acquire(device.pk, round, TRAINING)
    round.finish(Job.Status.CANCELLED)
    assert not devices.must_yield(device)
    devices.release(device, sampling)
    assert devices.try_acquire(device.pk, sampling, SAMPLING) == ""


def test_waiting_says_for_what_and_can_be_cancelled(device, monkeypatch):
    holder, waiting = attempt_of("sampling 1"), attempt_of("sampling 2")
    devices.try_acquire(device.pk, holder, SAMPLING)
    monkeypatch.setattr(devices.stopping, "wait", lambda seconds: cancel(Job.objects.get(pk=waiting.job_id)))
    with pytest.raises(CancelRequested):
        devices.acquire(waiting, SAMPLING)
    message = Job.objects.get(pk=waiting.job_id).message
    assert message == "Waiting for a device: local is busy with sampling 1."


def test_no_device_process_is_said(monkeypatch):
    waiting = attempt_of("sampling 1")
    monkeypatch.setattr(devices.stopping, "wait", lambda seconds: cancel(Job.objects.get(pk=waiting.job_id)))
    with pytest.raises(CancelRequested):
        devices.acquire(waiting, SAMPLING)
    assert "no device process is running (manage.py run_device)" in Job.objects.get(pk=waiting.job_id).message


def test_a_server_that_fails_to_start_fails_the_job_with_its_log(device):
    attempt = attempt_of("sampling 1")
    devices.acquire(attempt, SAMPLING, "/models/a")
    Device.objects.update(
        server=Device.Server.FAILED,
        server_checkpoint="/models/a",
        server_lora_rank=16,
        server_message="It failed 3 times. The end of the log:\nno such file",
    )
    with pytest.raises(JobError, match="did not start. It failed 3 times"):
        devices.wait_for_server(device, attempt)


def test_a_ready_server_is_only_used_for_its_own_checkpoint(device, monkeypatch):
    attempt = attempt_of("sampling 1")
    devices.acquire(attempt, SAMPLING, "/models/b")
    Device.objects.update(
        server=Device.Server.READY, server_checkpoint="/models/a", server_lora_rank=16, server_url="http://old"
    )

    def become_ready(seconds):
        Device.objects.update(server_checkpoint="/models/b", server_url="http://new")

    monkeypatch.setattr(devices.stopping, "wait", become_ready)
    assert devices.wait_for_server(device, attempt) == "http://new"


def test_a_superseded_attempt_does_not_touch_the_lease_of_the_next(device):
    first = attempt_of("round 1")
    first.requeue("its worker was paused")
    second = Attempt(first.job_id, Job.objects.claim(first.job_id))
    assert devices.try_acquire(device.pk, second, TRAINING) == ""
    with pytest.raises(Superseded):
        devices.try_acquire(device.pk, first, TRAINING)
    device.refresh_from_db()
    assert device.holder_attempt == second.number
    assert device.holder_is_alive()


def test_a_round_that_got_one_device_asks_no_other_to_yield(device):
    other = Device.objects.create(name="other", kind="cpu", heartbeat=Now())
    sampling, round = attempt_of("sampling 1"), attempt_of("round 1")
    devices.try_acquire(device.pk, sampling, SAMPLING)
    assert devices.try_acquire(device.pk, round, TRAINING) == "sampling 1"
    assert devices.try_acquire(other.pk, round, TRAINING) == ""
    assert not devices.must_yield(device)
