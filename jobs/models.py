"""The Job base row and the Device row. The database is the truth about both, and its clock the only clock."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

# A runner, or a device process, that was silent this long is dead.
STALE_AFTER = timedelta(seconds=settings.WINNOW_STALE_SECONDS)


class JobQuerySet(models.QuerySet["Job"]):
    def queued(self) -> "JobQuerySet":
        return self.filter(status=Job.Status.QUEUED)

    def running(self) -> "JobQuerySet":
        return self.filter(status=Job.Status.RUNNING)

    def active(self) -> "JobQuerySet":
        return self.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])

    def stale(self) -> "JobQuerySet":
        """Running, but its runner has been silent for too long."""
        return self.running().filter(heartbeat__lt=Now() - STALE_AFTER)

    def claim(self, job_id: int) -> int | None:
        """Mark the job as running under a new attempt; return its number, or None if the job is not to be had."""
        mine = self.queued().filter(pk=job_id, cancel_requested=False)
        taken = mine.update(
            status=Job.Status.RUNNING, attempt=F("attempt") + 1, heartbeat=Now(), started_at=Now(), message="", error=""
        )
        # Nobody else can raise `attempt` before this heartbeat is stale, so the number read here is ours.
        return self.values_list("attempt", flat=True).get(pk=job_id) if taken else None


class Job(models.Model):
    """Long work as a row. Its kinds (sampling job, round, …) inherit from it."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Queue(models.TextChoices):
        SAMPLING = "sampling"
        TRAINING = "training"
        LIGHT = "light"

    queue = models.CharField(max_length=10, choices=Queue.choices)
    task = models.CharField(max_length=100, help_text="The Celery task that runs this kind of job.")
    title = models.CharField(max_length=200, help_text="What a person calls this job: “round 3 of Demo”.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0, help_text="Raised at each claim; every later write names it.")
    stalls = models.PositiveSmallIntegerField(default=0, help_text="Times put back without progress since.")
    progress = models.PositiveIntegerField(default=0)
    best_progress = models.PositiveIntegerField(default=0, help_text="Of all attempts: less is no progress.")
    total = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True, help_text="What it does or waits for now.")
    error = models.TextField(blank=True, help_text="Why it failed, and what a person can do.")
    cancel_requested = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    announced_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    heartbeat = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["status", "heartbeat"], condition=Q(status__in=["queued", "running"]), name="job_active"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_active(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)


class Device(models.Model):
    """A machine's accelerator (or its CPU). One `run_device` process owns it; runners ask for it here.

    The lease (`holder`, `holder_attempt`) holds while that job is running under that attempt, and so
    ends by itself when a runner dies and its job is put back.
    """

    class Purpose(models.TextChoices):
        SAMPLING = "sampling"
        TRAINING = "training"

    class Server(models.TextChoices):
        STOPPED = "stopped"
        STARTING = "starting"
        READY = "ready"
        FAILED = "failed"

    name = models.CharField(max_length=50, unique=True)
    kind = models.CharField(max_length=10, help_text="cpu or cuda")
    heartbeat = models.DateTimeField(null=True, help_text="Of the device process; null: it was stopped in good order.")

    holder = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    holder_attempt = models.PositiveIntegerField(default=0)
    purpose = models.CharField(max_length=10, choices=Purpose.choices, blank=True)
    awaited_by = models.ForeignKey(
        Job, null=True, on_delete=models.SET_NULL, related_name="+", help_text="A training job that sampling yields to."
    )

    wanted_checkpoint = models.CharField(max_length=500, blank=True, help_text="What the server is to serve.")
    wanted_lora_rank = models.PositiveIntegerField(default=16)
    server = models.CharField(max_length=10, choices=Server.choices, default=Server.STOPPED)
    server_checkpoint = models.CharField(max_length=500, blank=True)
    server_lora_rank = models.PositiveIntegerField(default=0)
    server_url = models.CharField(max_length=200, blank=True)
    server_message = models.TextField(blank=True, help_text="Progress of its start, or why it failed.")

    def __str__(self) -> str:
        return self.name

    def holder_is_alive(self) -> bool:
        """Whether the lease holds. Reads the holder's row."""
        if self.holder_id is None:
            return False
        return Job.objects.running().filter(pk=self.holder_id, attempt=self.holder_attempt).exists()
