"""What people may type about a project and its prompts."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.text import slugify

from projects.models import Project, Prompt, PromptImport
from projects.prompts import PromptError, import_prompts, lines_to_jsonl
from projects.search import LastTurn
from projects.signals import project_saved

LARGEST_UPLOAD = 50 * 1024 * 1024
MEGABYTE = 1024 * 1024
MOST_FLAG_REASONS = 8
LONGEST_FLAG_REASON = 80  # characters
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


class LinesField(forms.CharField):
    """A text of several lines. Browsers send line ends as CR LF: text that nobody touched must stay the same."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n").strip()


TOO_LONG = {"max_length": "Shorten this to %(limit_value)s characters; it has %(show_value)s."}


class SettingsForm(ProjectForm):
    """All of a project's settings."""

    guidelines = LinesField(
        label="Guidelines",
        required=False,
        max_length=100_000,
        widget=forms.Textarea({"rows": 16}),
        error_messages=TOO_LONG,
        help_text="In Markdown; annotators open them with G. A change makes the next version, and each judgement "
        "remembers the version it was given under.",
    )
    flag_reasons = LinesField(
        label="Reasons to flag an answer",
        widget=forms.Textarea({"rows": 6}),
        error_messages={"required": "Give at least one reason, such as: It is broken or cut off"},
        help_text="One a line, 1 to 8 lines of up to 80 characters. Flags given so far keep their words.",
    )
    content_warning = LinesField(
        label="Content warning",
        required=False,
        max_length=2_000,
        widget=forms.Textarea({"rows": 4}),
        error_messages=TOO_LONG,
        help_text="Plain text, up to 2,000 characters. Everybody agrees to it before their first judgement, and again "
        "when it changes. Empty: there is none.",
    )

    class Meta(ProjectForm.Meta):
        fields = [
            *ProjectForm.Meta.fields,
            "overlap_percent",
            "gold_percent",
            "repeat_percent",
            "practice_count",
            "asks_strength",
            "asks_quality",
            "asks_reason",
            "edits",
            "flag_reasons",
            "content_warning",
        ]
        labels = {
            **ProjectForm.Meta.labels,
            "mode": "Their task",
            "overlap_percent": "Share that so many people judge, in per cent",
            "gold_percent": "Gold comparisons, in per cent",
            "repeat_percent": "Repeats, in per cent",
            "practice_count": "Practice comparisons",
            "asks_strength": "How much better the winner is",
            "asks_quality": "What the winner is worth by itself",
            "asks_reason": "The reason",
            "edits": "A better answer, in their own words",
        }
        help_texts = {
            **ProjectForm.Meta.help_texts,
            "overlap_percent": "0 to 100. One person judges each of the other comparisons. Counts at once.",
            "gold_percent": "0 to 20. This share of what a person is given has an answer that is known, and looks like "
            "all else. Each is given to a person once.",
            "repeat_percent": "0 to 20. This share of what a person is given is something they judged a day or twenty "
            "judgements ago, in another order.",
            "practice_count": "0 to 20. So many are given to a new annotator first; each choice is answered with what "
            "the admins said.",
            "asks_strength": "In four steps: significantly, clearly, slightly or negligibly better.",
            "asks_quality": "Good, usable or bad: one more key.",
            "asks_reason": "In words, if they like.",
            "edits": "They may edit an answer, or write one. It counts as better than all that were shown.",
        }
        widgets = {
            **ProjectForm.Meta.widgets,
            "overlap_percent": forms.TextInput(DIGITS),
            "gold_percent": forms.TextInput(DIGITS),
            "repeat_percent": forms.TextInput(DIGITS),
            "practice_count": forms.TextInput(DIGITS),
        }
        error_messages = {
            **ProjectForm.Meta.error_messages,
            "overlap_percent": whole_number_errors("0 to 100"),
            "gold_percent": whole_number_errors("0 to 20"),
            "repeat_percent": whole_number_errors("0 to 20"),
            "practice_count": whole_number_errors("0 to 20"),
        }

    def __init__(self, data: Any, project: Project):
        self.current = project.guidelines()
        initial = {
            "guidelines": self.current.text if self.current else "",
            "flag_reasons": "\n".join(project.flag_reasons),
        }
        super().__init__(data, instance=project, initial=initial)

    def clean_flag_reasons(self) -> list[str]:
        """Return the sentences, a line each; empty lines are passed over."""
        reasons = [line.strip() for line in self.cleaned_data["flag_reasons"].split("\n") if line.strip()]
        if len(reasons) > MOST_FLAG_REASONS:
            raise ValidationError(f"Give at most {MOST_FLAG_REASONS} reasons; there are {len(reasons)}.")
        known: set[str] = set()
        for number, reason in enumerate(reasons, 1):
            if len(reason) > LONGEST_FLAG_REASON:
                raise ValidationError(
                    f"Shorten reason {number} to {LONGEST_FLAG_REASON} characters; it has {len(reason)}."
                )
            if reason.casefold() in known:
                raise ValidationError(f"Reason {number} stands here twice: {reason}")
            known.add(reason.casefold())
        return reasons

    def apply(self) -> int | None:
        """Save what changed; return the number of the new version of the guidelines, if there is one."""
        version = self._save()
        project_saved.send(Project, project=self.instance)
        return version

    @transaction.atomic
    def _save(self) -> int | None:
        project = self.instance
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # versions are numbered one at a time
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
