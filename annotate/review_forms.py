"""What admins type on the review pages."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone

from annotate.forms import OUT_OF_DATE, ChoiceForm
from annotate.models import COUNTED
from projects.models import Project

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class FilterForm(forms.Form):
    """Which judgements are listed, and in what order."""

    SHOWN = (
        ("", "All judgements"),
        ("opposed", "Disagreements"),
        ("flagged", "Flagged"),
        ("both_bad", "All bad"),
        ("skipped", "Skipped"),
        ("late", "Late"),
        ("reason", "With a reason"),
        ("settled", "Settled"),
        ("left_out", "Left out"),
    )
    PURPOSES = (
        ("", "For training or as a check"),
        ("train", "For training"),
        ("evaluation", "To compare policies"),
        ("gold", "Gold"),
        ("repeat", "Repeats"),
    )
    ORDERS = (
        ("", "Newest first"),
        ("oldest", "Oldest first"),
        ("longest", "Longest in sight first"),
        ("shortest", "Shortest in sight first"),
    )

    search = forms.CharField(
        required=False, max_length=200, widget=forms.TextInput({"type": "search", "placeholder": "Search the prompts"})
    )
    show = forms.ChoiceField(required=False, choices=SHOWN)
    purpose = forms.ChoiceField(required=False, choices=PURPOSES)
    person = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="Everybody")
    order = forms.ChoiceField(required=False, choices=ORDERS)

    def __init__(self, data: QueryDict, project: Project):
        super().__init__(data)
        person: Any = self.fields["person"]
        person.queryset = judges(project)


def judges(project: Project) -> "QuerySet[User]":
    """Return who has judged in the project, members or not."""
    return User.objects.filter(judgements__comparison__project=project).distinct().order_by("username")


class SettleForm(ChoiceForm):
    """An admin's settlement, in the numbers that the page showed."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        said = cleaned.get("said")
        if said and (said.kind not in COUNTED or said.edit):
            raise ValidationError("A settlement says which answers are better, that they tie, or that all are bad.")
        return cleaned


class ExcludeForm(forms.Form):
    person = forms.ModelChoiceField(
        User.objects.none(),
        empty_label=None,
        error_messages={"required": "Choose a person.", "invalid_choice": OUT_OF_DATE},
    )
    since = forms.DateField(
        label="From",
        required=False,
        help_text="Judgements from this day on are left out. Empty: all of them.",
        widget=forms.DateInput({"type": "date"}),
        error_messages={"invalid": "Give a day as 2026-11-21, or nothing."},
    )
    reason = forms.CharField(
        required=False, max_length=200, help_text="For the other admins; the person does not see it."
    )

    def __init__(self, data: QueryDict | None, project: Project, zone: Any):
        super().__init__(data)
        self.zone = zone
        person: Any = self.fields["person"]
        person.queryset = judges(project)

    def clean_since(self) -> datetime:
        """Return the beginning of that day where the admin is; nothing was judged before the beginning of all."""
        day = self.cleaned_data["since"]
        if day is None or day <= BEGINNING.date():
            return BEGINNING
        moment = datetime.combine(day, time(), self.zone)
        if moment > timezone.now():
            raise ValidationError(f"{day} is still to come. Give today, a day before, or nothing for all of them.")
        return moment
