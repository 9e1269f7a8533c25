"""What people may type about a project, its prompts and its people."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.text import slugify

from projects.access import add_member
from projects.models import Membership, Project, Prompt, PromptImport
from projects.people import add_new_person
from projects.prompts import PromptError, import_prompts, lines_to_jsonl
from projects.search import LastTurn

LARGEST_UPLOAD = 50 * 1024 * 1024
MEGABYTE = 1024 * 1024
DIGITS = {"class": "num", "autocomplete": "off", "inputmode": "numeric"}


def whole_number_errors(allowed: str) -> dict[str, str]:
    return dict.fromkeys(("required", "invalid", "min_value", "max_value"), f"Give a whole number from {allowed}.")


class ProjectForm(forms.ModelForm):
    """A project's own settings; a new project's slug follows from its name and stays."""

    class Meta:
        model = Project
        fields = ["name", "description", "mode", "answers_per_comparison", "overlap", "held_out_percent"]
        labels = {
            "mode": "How people judge",
            "answers_per_comparison": "Answers in a comparison",
            "overlap": "People for each comparison",
            "held_out_percent": "Held out, in per cent",
        }
        help_texts = {
            "description": "One line under the name, for everybody in the project.",
            "mode": "Counts from the next comparison that somebody opens.",
            "answers_per_comparison": "2 to 8. Counts for answers sampled from now on.",
            "overlap": "1 to 10. More people make surer judgements, and fewer of them. Counts at once.",
            "held_out_percent": "0 to 90. This share of the prompts is kept out of training for ever, to measure "
            "with. Counts for prompts imported from now on.",
        }
        widgets = {
            "name": forms.TextInput({"autocomplete": "off"}),
            "description": forms.TextInput({"autocomplete": "off"}),
            "mode": forms.RadioSelect,
            "answers_per_comparison": forms.TextInput(DIGITS),
            "overlap": forms.TextInput(DIGITS),
            "held_out_percent": forms.TextInput(DIGITS),
        }
        error_messages = {
            "name": {
                "required": "Give the project a name.",
                "unique": "Another project has this name. Choose one that tells them apart.",
            },
            "answers_per_comparison": whole_number_errors("2 to 8"),
            "overlap": whole_number_errors("1 to 10"),
            "held_out_percent": whole_number_errors("0 to 90"),
        }

    def create(self) -> Project:
        project: Project = self.save(commit=False)
        project.slug = free_slug(project.name)
        project.save()
        return project


def free_slug(name: str) -> str:
    """Return the name as addresses and commands write it, with a number where another project has it."""
    slug = slugify(name)[:70].strip("-") or "project"
    taken = set(Project.objects.filter(slug__startswith=slug).values_list("slug", flat=True))
    candidates = [slug, *(f"{slug}-{number}" for number in range(2, len(taken) + 2))]
    return next(candidate for candidate in candidates if candidate not in taken)


class SettingsForm(ProjectForm):
    guidelines = forms.CharField(
        label="Guidelines",
        required=False,
        max_length=100_000,
        widget=forms.Textarea({"rows": 16}),
        help_text="In Markdown; annotators open them with G. A change makes the next version, and each judgement "
        "remembers the version it was given under.",
    )

    def __init__(self, data: Any, project: Project):
        self.current = project.guidelines()
        initial = {"guidelines": self.current.text if self.current else ""}
        super().__init__(data, instance=project, initial=initial)

    def clean_guidelines(self) -> str:
        """Browsers send line ends as CR LF: text that nobody touched must stay the same."""
        return str(self.cleaned_data["guidelines"]).replace("\r\n", "\n").strip()

    @transaction.atomic
    def apply(self) -> int | None:
        """Save what changed; return the number of the new version of the guidelines, if there is one."""
        project = self.instance
        Project.objects.select_for_update().get(pk=project.pk)  # versions are numbered one at a time
        project.save(update_fields=self._meta.fields)
        text, before = self.cleaned_data["guidelines"], self.current.text.strip() if self.current else ""
        if text == before:
            return None
        newest: int | None = project.guideline_versions.aggregate(most=Max("version"))["most"]
        return project.guideline_versions.create(version=(newest or 0) + 1, text=text).version


class TypedPromptsForm(forms.Form):
    text = forms.CharField(
        label="Type or paste",
        widget=forms.Textarea({"rows": 8}),
        help_text="One prompt a line. Empty lines are passed over.",
        error_messages={"required": "Type at least one prompt."},
    )

    def start_import(self, project: Project, user: User) -> PromptImport | None:
        lines = lines_to_jsonl(self.cleaned_data["text"]).encode("utf-8", "surrogatepass")
        try:
            return import_prompts(project, "typed prompts", [lines], user)
        except PromptError as error:
            self.add_error("text", f"{error} Nothing was imported.")
            return None


class PromptFileForm(forms.Form):
    file = forms.FileField(
        label="Bring a file",
        help_text="JSONL, UTF-8, at most 50 MB. Each line is an object with “prompt” (text) or “messages” (a list).",
        widget=forms.FileInput({"accept": ".jsonl,.ndjson,.json,application/jsonl"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty. Choose another one."},
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        size, most = file.size or 0, LARGEST_UPLOAD
        if size > most:
            raise ValidationError(
                f"The file has {size / MEGABYTE:,.0f} MB; at most {most // MEGABYTE} MB are taken at once. "
                "Split it into several files."
            )
        return file

    def start_import(self, project: Project, user: User) -> PromptImport | None:
        file: UploadedFile = self.cleaned_data["file"]
        try:
            return import_prompts(project, file.name or "a file", file.chunks(), user)
        except PromptError as error:
            self.add_error("file", f"{error} Nothing was imported.")
            return None


class PromptFilterForm(forms.Form):
    search = forms.CharField(
        required=False, max_length=200, widget=forms.TextInput({"type": "search", "placeholder": "Search the prompts"})
    )
    side = forms.ChoiceField(required=False, choices=[("", "Both sides"), *Prompt.Side.choices])

    def prompts(self, project: Project) -> "QuerySet[Prompt]":
        """Return what is asked for; a filter that makes no sense is passed over."""
        prompts = Prompt.objects.imported().filter(project=project).order_by("pk")
        if not self.is_valid():
            return prompts
        if side := self.cleaned_data["side"]:
            prompts = prompts.filter(side=side)
        if search := self.cleaned_data["search"]:
            prompts = prompts.alias(last_turn=LastTurn("messages")).filter(last_turn__icontains=search)
        return prompts


class AddPersonForm(forms.Form):
    """Somebody with an account joins, or gets an account first. Which of the two is said, so no slip makes one."""

    KNOWN, NEW = "known", "new"

    username = forms.CharField(
        label="Sign-in name", max_length=150, widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "none"})
    )
    account = forms.ChoiceField(
        label="Account", choices=[(KNOWN, "Has one here already"), (NEW, "Make a new one")], initial=KNOWN
    )
    role = forms.ChoiceField(
        label="Role",
        choices=[
            (Membership.Role.ANNOTATOR, "Annotator: judges answers"),
            (Membership.Role.ADMIN, "Admin: runs the project"),
        ],
        initial=Membership.Role.ANNOTATOR,
    )

    def __init__(self, project: Project, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.project = project
        self.fields["username"].error_messages["required"] = "Give the name they sign in with."

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if username := values.get("username"):
            username = values["username"] = User.normalize_username(username)
            values["user"] = User.objects.filter(username__iexact=username).order_by("pk").first()
            self._check(username, values["user"], new=values.get("account") == self.NEW)
        return values

    def _check(self, username: str, user: User | None, *, new: bool) -> None:
        if new and user:
            self.add_error("username", f"The name {user} is taken. Choose another, or add the person who has it.")
        elif new:
            self._check_new(username)
        elif user is None:
            self.add_error(
                "username", f"Nobody signs in as {username}. Check the spelling, or have a new account made."
            )
        elif not user.is_active:
            self.add_error("username", f"The account {user} is closed. An operator can open it again.")
        elif self.project.memberships.filter(user=user, left_at=None).exists():
            self.add_error("username", f"{user} is in this project already.")

    def _check_new(self, username: str) -> None:
        try:
            UnicodeUsernameValidator()(username)
        except ValidationError:
            self.add_error("username", "A sign-in name has only letters, digits and @ . + - _, and no spaces.")

    def add(self) -> tuple[Membership, str]:
        """Add the person; return the membership and, for a new account, its password."""
        values = self.cleaned_data
        if values["account"] == self.NEW:
            return add_new_person(self.project, values["username"], values["role"])
        return add_member(self.project, values["user"], values["role"]), ""


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role.choices)
