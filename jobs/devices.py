"""Asking for the device by row, as runners do it."""

from django.db.models.functions import Now

from jobs import stopping
from jobs.attempts import Attempt, JobError
from jobs.models import STALE_AFTER, Device, Job

POLL_SECONDS = 1.0


def online_devices() -> "list[Device]":
    """Return the devices whose process has shown itself lately."""
    return list(Device.objects.filter(heartbeat__gte=Now() - STALE_AFTER).order_by("pk"))


def try_acquire(device_id: int, attempt: Attempt, purpose: str, checkpoint: str = "", lora_rank: int = 0) -> str:
    """Take the device's lease. Return "" when it is ours now, else what it is busy with.

    Raises:
        Superseded: the attempt has ended; the lease of the next one is not touched.
    """
    with attempt.writing():
        return _try_acquire(device_id, attempt, purpose, checkpoint, lora_rank)


def _try_acquire(device_id: int, attempt: Attempt, purpose: str, checkpoint: str, lora_rank: int) -> str:
    device = Device.objects.select_for_update().get(pk=device_id)
    awaited = device.awaited_by if device.awaited_by and device.awaited_by.is_active else None
    if device.holder_id != attempt.job_id and device.holder_is_alive():
        if purpose == Device.Purpose.TRAINING and device.purpose == Device.Purpose.SAMPLING and awaited is None:
            device.awaited_by_id = attempt.job_id
            device.save(update_fields=["awaited_by"])
        return str(device.holder)
    if awaited and awaited.pk != attempt.job_id:
        return str(awaited)
    device.holder_id, device.holder_attempt = attempt.job_id, attempt.number
    device.purpose, device.awaited_by = purpose, None
    Device.objects.filter(awaited_by=attempt.job_id).update(awaited_by=None)  # it asked every busy device to yield
    if checkpoint:
        device.wanted_checkpoint = checkpoint
        device.wanted_lora_rank = max(lora_rank, 16)
    device.save()
    return ""


def acquire(attempt: Attempt, purpose: str, checkpoint: str = "", lora_rank: int = 0) -> Device:
    """Wait until a device is ours, saying on the job's row what it waits for.

    Raises:
        StopRequested, CancelRequested, Superseded: as `Attempt.beat`.
    """
    while True:
        devices = online_devices()
        # A device whose server is already warm with this checkpoint comes first.
        devices.sort(key=lambda device: device.server_checkpoint != checkpoint)
        reasons = []
        for device in devices:
            busy_with = try_acquire(device.pk, attempt, purpose, checkpoint, lora_rank)
            if not busy_with:
                return device
            reasons.append(f"{device} is busy with {busy_with}")
        waiting = "; ".join(reasons) or "no device process is running (manage.py run_device)"
        attempt.beat(message=f"Waiting for a device: {waiting}.")
        stopping.wait(POLL_SECONDS)


def release(device: Device, attempt: Attempt) -> None:
    """Give the lease back, if it is still ours."""
    mine = Device.objects.filter(pk=device.pk, holder=attempt.job_id, holder_attempt=attempt.number)
    mine.update(holder=None, purpose="")


def must_yield(device: Device) -> bool:
    """Whether a training job waits for this device: sampling then ends at the next prompt."""
    active = [Job.Status.QUEUED, Job.Status.RUNNING]
    return Device.objects.filter(pk=device.pk, awaited_by__status__in=active).exists()


def wait_for_server(device: Device, attempt: Attempt) -> str:
    """Wait until the device's model server serves what the lease wants; return its base URL.

    Raises:
        JobError: the server cannot be started; the text holds the end of its log.
        StopRequested, CancelRequested, Superseded: as `Attempt.beat`.
    """
    while True:
        device.refresh_from_db()
        fits = (
            device.server_checkpoint == device.wanted_checkpoint and device.server_lora_rank >= device.wanted_lora_rank
        )
        if fits and device.server == Device.Server.READY:
            return device.server_url
        if fits and device.server == Device.Server.FAILED:
            raise JobError(f"The model server did not start. {device.server_message}")
        detail = f" {device.server_message}" if fits else ""
        attempt.beat(message=f"Waiting for the model server to start.{detail}")
        stopping.wait(POLL_SECONDS)
