"""Comparisons, the judgements people give of them, and the preference pairs that follow."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from generation.models import Completion, Context, SamplingItem
from projects.models import Guidelines, Project, Prompt


class Comparison(models.Model):
    """One prompt and 2 to 8 answers in fixed slots, to be judged. Identical answers share a slot."""

    class Purpose(models.TextChoices):
        TRAIN = "train"
        GOLD = "gold"
        EVALUATION = "evaluation"
        REPEAT = "repeat"
        PRACTICE = "practice"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="comparisons")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="comparisons")
    context = models.ForeignKey(Context, null=True, on_delete=models.PROTECT, related_name="+")
    item = models.ForeignKey(SamplingItem, null=True, on_delete=models.PROTECT, related_name="comparisons")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.TRAIN)
    slots = models.PositiveSmallIntegerField(help_text="How many different answers there are to judge.")
    priority = models.SmallIntegerField(default=0)
    shuffle = models.BigIntegerField(help_text="Its place among those of the same priority.")
    judged = models.PositiveSmallIntegerField(default=0, help_text="Judgements that count towards the overlap.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["project", "-priority", "shuffle"])]

    def __str__(self) -> str:
        return f"comparison {self.pk}: {self.prompt}"


class Slot(models.Model):
    """An answer of a comparison. `number` is 0 to slots − 1; completions with the same text share a number."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="answers")
    number = models.PositiveSmallIntegerField()
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="slots")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "completion"], name="one_slot_per_completion")]

    def __str__(self) -> str:
        return f"slot {self.number} of comparison {self.comparison_id}"


class Lease(models.Model):
    """A comparison that lies before a person now. It takes one of the overlap's places until it ends."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="leases")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="leases")
    shown = models.JSONField(help_text="The slots in the order shown to this person.")
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "person"], name="one_lease")]

    def __str__(self) -> str:
        return f"{self.person} has comparison {self.comparison_id} until {self.expires_at}"


class Judgement(models.Model):
    """What one person says of one comparison: a chain of immutable revisions, the last one counts."""

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="judgements")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judgements")
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "person"], name="one_judgement")]

    def __str__(self) -> str:
        return f"{self.person} on comparison {self.comparison_id}"


class Revision(models.Model):
    """One thing a person said. Never changed and never deleted."""

    class Kind(models.TextChoices):
        RANKED = "ranked"
        BOTH_BAD = "both_bad", "all bad"
        SKIPPED = "skipped"
        FLAGGED = "flagged"
        WITHDRAWN = "withdrawn", "taken back"

    judgement = models.ForeignKey(Judgement, on_delete=models.PROTECT, related_name="revisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    tiers = models.JSONField(default=list, help_text="Slots, best tier first; those within a tier are tied …")
    unordered = models.JSONField(default=list, help_text="… but in these tiers they were not compared.")
    shown = models.JSONField(help_text="The slots in the order they were shown.")
    guidelines = models.ForeignKey(Guidelines, null=True, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(db_default=Now())
    late = models.BooleanField(default=False, help_text="Given after the lease had ended; it counts all the same.")
    client_key = models.CharField(max_length=64, help_text="Made by the page: a repeated submit counts once.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgement", "number"], name="one_revision_per_number"),
            models.UniqueConstraint(fields=["person", "client_key"], name="a_submit_counts_once"),
        ]

    def __str__(self) -> str:
        return f"revision {self.number} of {self.judgement}: {self.kind}"


class PreferencePairQuerySet(models.QuerySet["PreferencePair"]):
    def current(self) -> "PreferencePairQuerySet":
        """Leave out the pairs of revisions that were replaced or taken back."""
        return self.filter(revision__judgement__current=F("revision"))

    def of_project(self, project: Project) -> "PreferencePairQuerySet":
        return self.filter(revision__judgement__comparison__project=project)

    def train(self) -> "PreferencePairQuerySet":
        return self.filter(prompt__side=Prompt.Side.TRAIN)


class PreferencePair(models.Model):
    """(prompt, chosen, rejected), written in the transaction of the revision that implies it."""

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="pairs")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="pairs")
    chosen = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    rejected = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")

    objects = PreferencePairQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "chosen", "rejected"], name="one_pair_per_revision"),
            models.CheckConstraint(condition=~Q(chosen=F("rejected")), name="chosen_is_not_rejected"),
        ]

    def __str__(self) -> str:
        return f"{self.chosen_id} over {self.rejected_id}"
