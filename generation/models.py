"""Policies, and the completions that they sample."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from jobs.models import Job
from projects.models import Project, Prompt


class PolicyQuerySet(models.QuerySet["Policy"]):
    def usable_in(self, project: Project) -> "PolicyQuerySet":
        """Base models, and what this project's rounds made; newest first."""
        return self.filter(models.Q(project=project) | models.Q(project=None), weights_deleted_at=None).order_by("-pk")


class Policy(models.Model):
    """A language model that can answer: a full checkpoint, or one adapter on a full checkpoint.

    Known by the fingerprint of its weights, not by a path.
    """

    name = models.CharField(max_length=120)
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.PROTECT, related_name="policies", help_text="Empty for a base."
    )
    base = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="adapters", help_text="Of an adapter."
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="children",
        help_text="It was trained from.",
    )
    path = models.CharField(max_length=500, help_text="Folder of the weights; relative to WINNOW_HOME if inside it.")
    hub_id = models.CharField(max_length=200, blank=True)
    hub_revision = models.CharField(max_length=64, blank=True)
    fingerprint = models.CharField(max_length=64, unique=True)
    tokenizer_fingerprint = models.CharField(max_length=64)
    lora_rank = models.PositiveIntegerField(default=0, help_text="0 for a full checkpoint.")
    created_at = models.DateTimeField(db_default=Now())
    weights_deleted_at = models.DateTimeField(null=True, blank=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        return str(settings.WINNOW_HOME / self.path)

    @property
    def checkpoint(self) -> str:
        """The full checkpoint that a server or trainer loads. Follows `base` for an adapter."""
        return self.base.folder if self.base else self.folder

    @property
    def served_name(self) -> str:
        """What the model server calls it: an adapter's name is new for every policy, as caches go by the name."""
        return f"policy-{self.fingerprint[:16]}" if self.base_id else "base"


class Registration(Job):
    """A base model on its way in: downloaded if it comes from a hub, checked and fingerprinted."""

    name = models.CharField(max_length=120)
    source = models.CharField(max_length=500, help_text="A folder on this machine, or a hub id.")
    revision = models.CharField(max_length=64, blank=True, help_text="Of a hub id; empty: the newest, then pinned.")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.SET_NULL, related_name="+")


class SamplingJob(Job):
    """Policies over a frozen list of prompts, n completions each."""

    class Purpose(models.TextChoices):
        JUDGING = "judging", "to be judged"
        COMPARE = "compare", "before and after a round"
        CONTEST = "contest", "for a blind A/B"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sampling_jobs")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.JUDGING)
    n = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(64)])
    temperature = models.FloatField(default=1.0, validators=[MinValueValidator(0.0), MaxValueValidator(5.0)])
    top_p = models.FloatField(default=1.0, validators=[MinValueValidator(0.01), MaxValueValidator(1.0)])
    top_k = models.IntegerField(default=0, validators=[MinValueValidator(0)], help_text="0: all tokens.")
    max_tokens = models.PositiveIntegerField(default=512, validators=[MinValueValidator(1)])
    seed = models.BigIntegerField(validators=[MinValueValidator(0), MaxValueValidator(2**31 - 1)])

    def get_absolute_url(self) -> str:
        return reverse("sampling_job", args=[self.project.slug, self.pk])


class SamplingItem(models.Model):
    """One prompt to be answered n times by one policy. The job's list of them is frozen at its start."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        FAILED = "failed"

    job = models.ForeignKey(SamplingJob, on_delete=models.CASCADE, related_name="items")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="sampling_items")
    position = models.PositiveIntegerField()
    seed = models.BigIntegerField(help_text="Completion i is sampled with seed + i.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "policy", "prompt"], name="one_item")]
        indexes = [models.Index(fields=["job", "status", "position"])]

    def __str__(self) -> str:
        return f"{self.prompt} by {self.policy}"


class Context(models.Model):
    """What the model really read: the rendered messages and their exact token ids."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="contexts")
    tokenizer_fingerprint = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the token ids.")
    messages = models.JSONField()
    token_ids = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "tokenizer_fingerprint", "digest"], name="one_context")
        ]

    def __str__(self) -> str:
        return f"{len(self.token_ids)} tokens for {self.prompt}"


class Completion(models.Model):
    """One answer: sampled by a policy, or written by a person (then `author` and perhaps `parent`)."""

    class Finish(models.TextChoices):
        STOP = "stop", "ended by itself"
        LENGTH = "length", "cut off by its limit"
        WRITTEN = "written", "written by a person"

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="completions")
    context = models.ForeignKey(Context, null=True, on_delete=models.PROTECT, related_name="completions")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="completions")
    item = models.ForeignKey(SamplingItem, null=True, on_delete=models.PROTECT, related_name="completions")
    index = models.PositiveSmallIntegerField(default=0, help_text="0 to n − 1 within its item.")
    seed = models.BigIntegerField(null=True)
    text = models.TextField()
    token_ids = models.JSONField(null=True)
    log_probability = models.FloatField(null=True, help_text="Summed over its tokens, under the sampling policy; nats.")
    finish_reason = models.CharField(max_length=10, choices=Finish.choices)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="edits")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "index"], name="one_completion_per_index")]

    def __str__(self) -> str:
        return self.text[:80]
