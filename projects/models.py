"""Projects, the people in them, and their prompts."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.signing import Signer
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse

from jobs.models import Job
from jobs.prepared import Given, Prepared


def usual_flags() -> list[str]:
    return [
        "It could hurt somebody",
        "It names a private person",
        "It is broken or cut off",
        "It gives away which model wrote it",
    ]


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: "AbstractUser | AnonymousUser") -> "ProjectQuerySet":
        """The projects that this person may open: all for an operator, else those they are a member of."""
        return self if user.is_staff else self.of_member(user.pk)

    def of_member(self, user: "int | Given | None") -> "ProjectQuerySet":
        return self.filter(memberships__user_id=user, memberships__left_at=None)


class Project(models.Model):
    """One preference-collection effort: its prompts, guidelines, people and rounds."""

    class Mode(models.TextChoices):
        BEST = "best", "Pick the best answer"
        RANK = "rank", "Rank all answers"

    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=80, unique=True, help_text="Its name in addresses and commands.")
    description = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.BEST)
    answers_per_comparison = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(2), MaxValueValidator(8)]
    )
    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text="How many people judge each comparison.",
    )
    overlap_percent = models.PositiveSmallIntegerField(
        default=100,
        validators=[MaxValueValidator(100)],
        help_text="Share of the comparisons that so many people judge; one person judges each of the others.",
    )
    asks_strength = models.BooleanField(default=False, help_text="Ask how much better the winner is, in four steps.")
    asks_quality = models.BooleanField(default=False, help_text="Ask whether the winner is good, usable or bad.")
    asks_reason = models.BooleanField(default=False, help_text="Offer a field for the reason, in words.")
    edits = models.BooleanField(default=False, help_text="Let people write or edit a better answer than those shown.")
    flag_reasons = models.JSONField(default=usual_flags, help_text="What can be wrong with an answer, a sentence each.")
    content_warning = models.TextField(
        blank=True, help_text="Shown before the first judgement, to be agreed to. Empty: there is none."
    )
    gold_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(20)],
        help_text="Share of what a person is given that is a gold comparison.",
    )
    repeat_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(20)],
        help_text="Share of what a person is given that they judged before, in another order.",
    )
    evaluation_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="Share of what a person is given of the queue that is of the blind A/Bs under way.",
    )
    practice_count = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(20)],
        help_text="How many practice comparisons a new annotator is given before their first judgement.",
    )
    held_out_percent = models.PositiveSmallIntegerField(
        default=10,
        validators=[MaxValueValidator(90)],
        help_text="Share of the prompts kept out of training for ever, to measure with. Counts for later imports.",
    )
    created_at = models.DateTimeField(db_default=Now())

    objects = ProjectQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("project", args=[self.slug])

    def guidelines(self) -> "Guidelines | None":
        """Return the newest version of the guidelines. One query."""
        return _newest_guidelines.first(project=self.pk)

    @property
    def has_checks(self) -> bool:
        """Whether there are checks among the work: gold comparisons or repeats."""
        return self.gold_percent > 0 or self.repeat_percent > 0

    def who_judges(self) -> str:
        """Return in a sentence how many people judge each comparison."""
        if self.overlap == 1 or self.overlap_percent == 0:
            return "One person judges each comparison."
        if self.overlap_percent == 100:
            return f"{self.overlap} people judge each comparison."
        return f"{self.overlap} people judge {self.overlap_percent}% of the comparisons, one person each of the others."


class Guidelines(models.Model):
    """One version of a project's guidelines, in Markdown. Never changed: an edit is the next version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guideline_versions")
    version = models.PositiveIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="guidelines_version")]

    def __str__(self) -> str:
        return f"{self.project}, guidelines version {self.version}"


_newest_guidelines = Prepared(lambda: Guidelines.objects.filter(project=Given("project")).order_by("-version")[:1])


class Membership(models.Model):
    """A person's part in a project. Leaving is a date: what they judged stays theirs."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator"
        ADMIN = "admin"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.ANNOTATOR)
    joined_at = models.DateTimeField(db_default=Now())
    left_at = models.DateTimeField(null=True, blank=True)
    removed = models.BooleanField(default=False, help_text="An admin ended it: links from before do not open it again.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} of {self.project}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def live(self) -> "InvitationQuerySet":
        """Those that somebody can still join by, by the database's clock."""
        free = Q(most_uses=None) | Q(uses__lt=F("most_uses"))
        return self.filter(free, withdrawn_at=None, expires_at__gt=Now())

    def withdraw(self) -> int:
        """Let nobody join by these any more; return how many were live."""
        return self.live().update(withdrawn_at=Now())


class Invitation(models.Model):
    """A link by which people join a project. Its address is its id, signed: nothing secret is stored."""

    signer = Signer(salt="projects.invitation", sep=".")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Membership.Role.choices, default=Membership.Role.ANNOTATOR)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="invitations")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    most_uses = models.PositiveIntegerField(null=True, help_text="How many people may join by it. None: any number.")
    uses = models.PositiveIntegerField(default=0)
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(most_uses=None) | Q(uses__lte=F("most_uses")), name="no_more_uses_than_allowed"
            )
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk} to {self.project} as {self.role}"

    def get_absolute_url(self) -> str:
        return reverse("join", args=[self.signer.sign(str(self.pk))])


class PromptImport(Job):
    """A file of prompts on its way in. Its prompts become visible all at once, when it has succeeded."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    source = models.CharField(max_length=200, help_text="The file's name, as people know it.")
    path = models.CharField(max_length=500, help_text="The copy of the file under WINNOW_HOME.")
    added = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    held_out = models.PositiveIntegerField(default=0)


class PromptQuerySet(models.QuerySet["Prompt"]):
    def imported(self) -> "PromptQuerySet":
        """Leave out the prompts of an import that has not succeeded (yet)."""
        return self.filter(source__status=Job.Status.SUCCEEDED)

    def train(self) -> "PromptQuerySet":
        return self.filter(side=Prompt.Side.TRAIN)

    def held_out(self) -> "PromptQuerySet":
        return self.filter(side=Prompt.Side.HELD_OUT)


class Prompt(models.Model):
    """Chat messages ending in a user turn, known by the SHA-256 of their canonical JSON."""

    class Side(models.TextChoices):
        TRAIN = "train"
        HELD_OUT = "held_out", "held out"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    source = models.ForeignKey(PromptImport, on_delete=models.PROTECT, related_name="prompts")
    digest = models.CharField(max_length=64)
    messages = models.JSONField()
    side = models.CharField(max_length=10, choices=Side.choices)
    external_id = models.CharField(max_length=200, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="one_prompt_per_digest")]
        indexes = [models.Index(fields=["project", "side", "id"])]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """The last user turn: what a list shows."""
        content: str = self.messages[-1]["content"]
        return content
