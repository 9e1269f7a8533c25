"""Comparisons, the judgements people give of them, and the preference pairs that follow."""

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from generation.models import Completion, Context, SamplingItem
from projects.models import Guidelines, Project, Prompt

SEEDS = 2**48  # a seed of a person's seat is a whole number below this
SHUFFLED = 2**48  # a comparison's shuffle is a whole number below this: its place among those of its priority
EVALUATION_PRIORITY = -101  # below all others: what blind A/Bs ask stands together at the end of the queue …
EVALUATION_PLACES = -EVALUATION_PRIORITY * SHUFFLED  # … from this place on


def new_seed() -> int:
    return secrets.randbelow(SEEDS)


class Comparison(models.Model):
    """One prompt and 2 to 8 answers in fixed slots, to be judged. Identical answers share a slot.

    Gold, repeated and practice comparisons are wanted by 0 people: they are never open in the queue, which mixes them
    in by the project's shares (annotate.checks).
    """

    class Purpose(models.TextChoices):
        TRAIN = "train"
        GOLD = "gold"
        EVALUATION = "evaluation"
        REPEAT = "repeat"
        PRACTICE = "practice"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="comparisons", db_index=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="comparisons")
    context = models.ForeignKey(Context, null=True, on_delete=models.PROTECT, related_name="+")
    item = models.ForeignKey(SamplingItem, null=True, on_delete=models.PROTECT, related_name="comparisons")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.TRAIN)
    slots = models.PositiveSmallIntegerField(help_text="How many different answers there are to judge.")
    priority = models.SmallIntegerField(default=0, validators=[MinValueValidator(-100), MaxValueValidator(100)])
    shuffle = models.PositiveBigIntegerField(help_text="Drawn once: its place among those of the same priority.")
    place = models.GeneratedField(
        expression=F("shuffle") - F("priority") * SHUFFLED,
        output_field=models.BigIntegerField(),
        db_persist=True,
        help_text="Its place in the queue: by priority, then shuffled.",
    )
    wanted = models.PositiveSmallIntegerField(default=1, help_text="How many people are to judge it.")
    judged = models.PositiveSmallIntegerField(default=0, help_text="Judgements that count towards the overlap.")
    repeats = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="copies",
        db_index=False,
        help_text="The comparison that this one shows again: of a repeat, and of gold and practice made of a real one.",
    )
    only_for = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="The person whose repeat it is.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["project", "place", "id"], condition=Q(judged__lt=F("wanted")), name="open_in_order"),
            models.Index(fields=["project", "id"], name="comparisons_of_project"),
            models.Index(fields=["repeats"], condition=Q(repeats__isnull=False), name="copies_of_comparison"),
            models.Index(
                fields=["only_for", "project"], condition=Q(only_for__isnull=False), name="repeats_for_person"
            ),
        ]

    def __str__(self) -> str:
        return f"comparison {self.pk}: {self.prompt}"


REAL = (Comparison.Purpose.TRAIN, Comparison.Purpose.EVALUATION)  # what people judge for its own sake


class Check(models.Model):
    """A gold or practice comparison: who made it, and until when it is given. Its settlement says what is expected."""

    comparison = models.OneToOneField(Comparison, on_delete=models.CASCADE, related_name="check_made")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(db_default=Now())
    taken_out_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    taken_out_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.comparison.purpose} comparison {self.comparison_id}"


class Damage(models.Model):
    """Marks a completion as the damaged copy of its parent. Annotators are never told."""

    class Kind(models.TextChoices):
        CUT = "cut", "breaks off in the middle of a sentence"
        SHUFFLED = "shuffled", "its sentences are in a wrong order"
        NUMBERS = "numbers", "its numbers are wrong"
        REPEATED = "repeated", "a paragraph stands in it twice"

    completion = models.OneToOneField(Completion, on_delete=models.CASCADE, related_name="damage")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    seed = models.PositiveBigIntegerField(help_text="With it annotate.damage makes the same text of the parent's.")

    def __str__(self) -> str:
        return f"{self.completion_id}: {self.get_kind_display()}"


class Practised(models.Model):
    """What a person said in practice. No judgement: it counts nowhere."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="practised")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    run = models.PositiveSmallIntegerField(
        help_text="The person's first practice is run 1; each repetition is another."
    )
    kind = models.CharField(max_length=10)
    tiers = models.JSONField(default=list)
    unordered = models.JSONField(default=list)
    shown = models.JSONField()
    agreed = models.BooleanField(help_text="It put the same answer first as the admins did, by what they said then.")
    said_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "comparison", "run"], name="practised_once_a_run")]

    def __str__(self) -> str:
        return f"{self.person} practised comparison {self.comparison_id}"


class Slot(models.Model):
    """An answer of a comparison. `number` is 0 to slots − 1; completions with the same text share a number."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="answers", db_index=False)
    number = models.PositiveSmallIntegerField()
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="slots")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "completion"], name="one_slot_per_completion")]

    def __str__(self) -> str:
        return f"slot {self.number} of comparison {self.comparison_id}"


class Seat(models.Model):
    """A person's place in a project's queue, and what they were shown before their first judgement."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="seats")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="seats")
    place = models.BigIntegerField(null=True, help_text="What lies before this was passed: judged, or taken by others.")
    left = models.PositiveIntegerField(default=0, help_text="Comparisons left for this person when last counted.")
    today = models.PositiveIntegerField(default=0, help_text="Comparisons judged since `day`, when last counted.")
    day = models.DateTimeField(null=True, help_text="When this person's day began.")
    counted_at = models.DateTimeField(null=True, help_text="Until the next count each judgement changes both.")
    guidelines_read = models.PositiveIntegerField(null=True, help_text="The version they last began to judge under.")
    warning_agreed = models.TextField(blank=True, help_text="The content warning that they agreed to.")
    seed = models.PositiveBigIntegerField(default=new_seed, help_text="With `given`, it draws when a check comes.")
    given = models.PositiveIntegerField(default=0, help_text="How many comparisons the queue has put before them.")
    practice_run = models.PositiveSmallIntegerField(default=1)
    practised_at = models.DateTimeField(null=True, help_text="When their first practice was done.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "person"], name="one_seat")]

    def __str__(self) -> str:
        return f"{self.person} in {self.project}"


class Lease(models.Model):
    """A comparison that lies before a person now. It takes one of the overlap's places until it ends."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="leases")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="leases", db_index=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="leases")
    shown = models.JSONField(help_text="The slots in the order shown to this person.")
    turn = models.SmallIntegerField(default=0, help_text="The least comes first; what was taken back before all else.")
    visit = models.CharField(max_length=32, blank=True, help_text="The opened page that has it: leaving that frees it.")
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comparison", "person"], name="one_lease")]

    def __str__(self) -> str:
        return f"{self.person} has comparison {self.comparison_id} until {self.expires_at}"


class JudgementQuerySet(models.QuerySet["Judgement"]):
    def votes(self) -> "JudgementQuerySet":
        """Leave out settlements."""
        return self.filter(settles=False)

    def standing_settlements(self) -> "JudgementQuerySet":
        return self.filter(settles=True).exclude(current__kind=Revision.Kind.WITHDRAWN)


class Judgement(models.Model):
    """What one person says of one comparison: a chain of immutable revisions, the last one counts.

    A settlement is the admins' common judgement of a comparison: `person` is who gave it first, each revision says
    who gave that.
    """

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="judgements")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judgements")
    settles = models.BooleanField(default=False, help_text="An admin's settlement, which wins over votes.")
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    objects = JudgementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "person"], condition=Q(settles=False), name="one_judgement"),
            models.UniqueConstraint(fields=["comparison"], condition=Q(settles=True), name="one_settlement"),
        ]

    def __str__(self) -> str:
        return f"{self.person} on comparison {self.comparison_id}"


class RevisionQuerySet(models.QuerySet["Revision"]):
    def votes(self) -> "RevisionQuerySet":
        """What people say now: the last revision of each chain, settlements and what was taken back aside."""
        current = self.filter(judgement__settles=False, judgement__current=F("pk"))
        return current.exclude(kind=Revision.Kind.WITHDRAWN)

    def counted(self) -> "RevisionQuerySet":
        """What holds of each comparison now: its settlement, or the votes of those who are not left out."""
        settled = Judgement.objects.standing_settlements().filter(comparison=OuterRef("judgement__comparison"))
        standing = self.filter(judgement__current=F("pk"), kind__in=COUNTED)
        return standing.exclude(Q(judgement__settles=False) & (Exists(settled) | excluded(Now(), "")))

    def with_left_out(self, at: object = None) -> "RevisionQuerySet":
        """Annotate `left_out`: whether the person's judgements are excluded, this one with them, then or now."""
        return self.annotate(left_out=excluded(at or Now(), ""))


def excluded(at: object, revision: str) -> Exists:
    """Whether a revision is left out because its person is; `revision` is the way to it in a query, as `revision__`."""
    reaches = {name: OuterRef(revision + name) for name in ("project", "person")}
    return Exists(Exclusion.objects.at(at).filter(since__lte=OuterRef(f"{revision}submitted_at"), **reaches))


class Revision(models.Model):
    """One thing a person said. Never changed and never deleted."""

    class Kind(models.TextChoices):
        RANKED = "ranked"
        BOTH_BAD = "both_bad", "all bad"
        SKIPPED = "skipped"
        FLAGGED = "flagged"
        WITHDRAWN = "withdrawn", "taken back"

    class Strength(models.IntegerChoices):
        """How much better the winner is: the four steps of Llama 2."""

        SIGNIFICANTLY = 4, "significantly better"
        BETTER = 3, "better"
        SLIGHTLY = 2, "slightly better"
        NEGLIGIBLY = 1, "negligibly better, or unsure"

    class Quality(models.TextChoices):
        """What the winner is worth by itself."""

        GOOD = "good"
        USABLE = "usable"
        BAD = "bad"

    # Each index is written with each judgement: here are none but those of the constraints and of Meta.
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="revisions", db_index=False)
    judgement = models.ForeignKey(Judgement, on_delete=models.PROTECT, related_name="revisions", db_index=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="revisions", db_index=False
    )
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    tiers = models.JSONField(default=list, help_text="Slots, best tier first; those within a tier are tied …")
    unordered = models.JSONField(default=list, help_text="… but in these tiers they were not compared.")
    strength = models.PositiveSmallIntegerField(null=True, choices=Strength.choices)
    quality = models.CharField(max_length=10, blank=True, choices=Quality.choices)
    reason = models.TextField(blank=True, help_text="Why, in the person's own words.")
    flags = models.JSONField(default=list, help_text="What is wrong, in the project's sentences; when flagged.")
    edit = models.ForeignKey(
        Completion,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="An answer that the person wrote themselves: better than all of the comparison's.",
    )
    shown = models.JSONField(help_text="The slots in the order they were shown.")
    guidelines = models.ForeignKey(Guidelines, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    opened_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(db_default=Now())
    seconds = models.FloatField(null=True, help_text="How long the page had it in sight, as the page measured it.")
    late = models.BooleanField(default=False, help_text="Given after the lease had ended; it counts all the same.")
    client_key = models.CharField(max_length=64, help_text="Made by the page: a repeated submit counts once.")

    objects = RevisionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgement", "number"], name="one_revision_per_number"),
            models.UniqueConstraint(fields=["person", "client_key"], name="a_submit_counts_once"),
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="last_of_project"),
            models.Index(fields=["project", "person", "submitted_at"], name="day_of_person"),
        ]

    def __str__(self) -> str:
        return f"revision {self.number} of {self.judgement}: {self.kind}"


COUNTED = (Revision.Kind.RANKED, Revision.Kind.BOTH_BAD)  # fill a place of the overlap; a skip leaves it to others


class PreferencePairQuerySet(models.QuerySet["PreferencePair"]):
    def current(self) -> "PreferencePairQuerySet":
        """The pairs that count now: what stands, of nobody left out, and votes only where nothing is settled."""
        settled = Judgement.objects.standing_settlements().filter(
            comparison=OuterRef("revision__judgement__comparison")
        )
        standing = self.filter(revision__judgement__current=F("revision"))
        votes = Q(revision__judgement__settles=False)
        return standing.exclude(votes & (Exists(settled) | excluded(Now(), "revision__")))

    def of_project(self, project: Project) -> "PreferencePairQuerySet":
        return self.filter(revision__judgement__comparison__project=project)

    def train(self) -> "PreferencePairQuerySet":
        return self.filter(prompt__side=Prompt.Side.TRAIN)


class PreferencePair(models.Model):
    """(prompt, chosen, rejected), written in the transaction of the revision that implies it."""

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="pairs", db_index=False)
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


class ExclusionQuerySet(models.QuerySet["Exclusion"]):
    def at(self, moment: object) -> "ExclusionQuerySet":
        """Those that held at a moment."""
        return self.filter(Q(lifted_at=None) | Q(lifted_at__gt=moment), created_at__lte=moment)


class Exclusion(models.Model):
    """A person's judgements in a project, left out from a date on. Lifting it is a date too: nothing is deleted."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="exclusions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="exclusions")
    since = models.DateTimeField(help_text="Judgements given from this moment on are left out.")
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    objects = ExclusionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "person"], condition=Q(lifted_at=None), name="one_exclusion_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person} left out of {self.project} since {self.since}"
