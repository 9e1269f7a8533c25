"""Datasets frozen from judgements, and the rounds that train on them."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from django.urls import reverse

from annotate.models import Comparison, Revision
from generation.models import Completion, Policy, SamplingJob
from jobs.models import Job
from projects.models import Project
from train.rules import Rule, read_rule


def usual_rule() -> dict[str, Any]:
    return Rule().as_json()


class Dataset(models.Model):
    """A numbered, frozen, hashed set of groups with a train and a held-out part, made by a stored rule.

    It holds what its rule took when revision number `as_of` was the newest, without those who were left out when it
    was made: revisions and exclusions never change but by dates, so freezing can be repeated and gives the same
    bytes.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="datasets")
    number = models.PositiveIntegerField()
    as_of = models.PositiveBigIntegerField(help_text="The newest revision's id when the dataset was asked for.")
    rule = models.JSONField(default=usual_rule, help_text="Which judgements it takes, and how they become pairs.")
    after = models.PositiveBigIntegerField(
        default=0, help_text="Where the rule counts from the last round on: the newest revision that its dataset knew."
    )
    revisions = models.ManyToManyField(Revision, related_name="datasets")
    frozen_at = models.DateTimeField(null=True)
    train_groups = models.PositiveIntegerField(default=0)
    train_pairs = models.PositiveIntegerField(default=0)
    held_out_groups = models.PositiveIntegerField(default=0)
    held_out_pairs = models.PositiveIntegerField(default=0)
    train_sha256 = models.CharField(max_length=64, blank=True)
    held_out_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="one_dataset_per_number")]

    def __str__(self) -> str:
        return f"dataset {self.number} of {self.project}"

    @property
    def made_by(self) -> Rule:
        return read_rule(self.rule)


class Freezing(Job):
    """Writes a dataset's files. A round does that as its first stage, and needs none."""

    dataset = models.OneToOneField(Dataset, on_delete=models.PROTECT, related_name="freezing")

    def get_absolute_url(self) -> str:
        return reverse("datasets", args=[self.dataset.project.slug])


class Round(Job):
    """One training run: dataset, starting policy, reference policy, configuration, and the policy it made."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="rounds")
    start = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="rounds_from")
    reference = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    configuration = models.JSONField(help_text="What the admin chose; the run folder holds all that ran.")
    summary = models.JSONField(null=True, help_text="The trainer's summary.json.")
    warnings = models.JSONField(default=list, help_text="What a person should be told of its training, in sentences.")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="made_by")
    before_and_after = models.ForeignKey(
        SamplingJob, null=True, on_delete=models.SET_NULL, related_name="+", help_text="Held-out answers of both."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="one_round_per_number")]

    def get_absolute_url(self) -> str:
        return reverse("round", args=[self.project.slug, self.number])


class RoundMetric(models.Model):
    """One line of the trainer's metrics.jsonl."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="metrics")
    attempt = models.PositiveIntegerField()
    line = models.PositiveIntegerField()
    values = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "attempt", "line"], name="one_metric_per_line")]

    def __str__(self) -> str:
        return f"line {self.line} of {self.round}"


class ContestQuerySet(models.QuerySet["Contest"]):
    def with_progress(self) -> "ContestQuerySet":
        """Annotate how many pairings are `answered`, the `same` (ties by themselves), and `waiting` for people."""
        waiting = Q(pairings__comparison__judged__lt=F("pairings__comparison__wanted"))
        return self.annotate(
            answered=Count("pairings"),
            same=Count("pairings", filter=Q(pairings__comparison=None, pairings__isnull=False)),
            waiting=Count("pairings", filter=waiting),
        )

    def under_way(self) -> "ContestQuerySet":
        return self.with_progress().filter(self._under_way())

    def ended(self) -> "ContestQuerySet":
        """Those whose result may be read: all is judged, or they were stopped."""
        return self.with_progress().exclude(self._under_way())

    @staticmethod
    def _under_way() -> Q:
        # A sampling job that failed or was cancelled can be resumed: its contest goes on until it is stopped.
        return Q(stopped_at=None) & (~Q(sampling__status=Job.Status.SUCCEEDED) | Q(waiting__gt=0))


class Contest(models.Model):
    """A blind A/B: people judge two policies' answers to held-out prompts, unseen among their other work.

    Its size is chosen up front, and its result is read once, when it has ended: looking at it earlier, and stopping
    when it pleases, would make the interval too short.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="contests")
    first = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    second = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    size = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="How many pairs of answers to judge."
    )
    percent = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Share of what the queue gives a person that is of this contest, in per cent.",
    )
    seed = models.BigIntegerField(help_text="It draws the prompts, and which answer has which slot.")
    sampling = models.OneToOneField(SamplingJob, on_delete=models.PROTECT, related_name="contest")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    stopped_at = models.DateTimeField(null=True)

    objects = ContestQuerySet.as_manager()
    answered: int  # by ContestQuerySet.with_progress, as are these:
    same: int
    waiting: int

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(first=F("second")), name="a_contest_is_between_two_policies")
        ]

    def __str__(self) -> str:
        return f"{self.first} against {self.second}"

    def get_absolute_url(self) -> str:
        return reverse("contest", args=[self.project.slug, self.pk])

    @property
    def is_under_way(self) -> bool:
        """Whether its result may not be read yet; of a row `with_progress`. Reads the sampling job."""
        return self.stopped_at is None and (self.sampling.status != Job.Status.SUCCEEDED or self.waiting > 0)

    @property
    def decided(self) -> int:
        """How many pairings are judged, or ties by themselves; of a row `with_progress`."""
        return self.answered - self.waiting


class Pairing(models.Model):
    """An answer of each of a contest's policies to one prompt. Without a comparison they read the same: a tie."""

    contest = models.ForeignKey(Contest, on_delete=models.CASCADE, related_name="pairings")
    first_answer = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")
    second_answer = models.OneToOneField(Completion, on_delete=models.PROTECT, related_name="+")
    comparison = models.OneToOneField(Comparison, null=True, on_delete=models.PROTECT, related_name="pairing")

    def __str__(self) -> str:
        return f"completions {self.first_answer_id} and {self.second_answer_id} in contest {self.contest_id}"
