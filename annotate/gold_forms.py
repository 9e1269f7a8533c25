"""What admins type on the page of gold and practice comparisons."""

from typing import Any

from django import forms
from django.http import QueryDict

from annotate import gold
from annotate.forms import LONGEST_REASON, OUT_OF_DATE
from annotate.models import Comparison, Damage
from projects.forms import DIGITS, whole_number_errors
from projects.models import Project

MOST_AT_ONCE = 20
PURPOSES = ((Comparison.Purpose.GOLD, "Gold"), (Comparison.Purpose.PRACTICE, "Practice"))
NO_PURPOSE = {"required": OUT_OF_DATE, "invalid_choice": OUT_OF_DATE}


class AddForm(forms.Form):
    """Which real comparisons become gold or practice."""

    comparisons = forms.ModelMultipleChoiceField(
        Comparison.objects.none(),
        error_messages={
            "required": "Nothing was added: tick the comparisons first.",
            "invalid_choice": "Nothing was added: one of the comparisons is in use already, or no longer sure. "
            "Choose again.",
            "invalid_pk_value": OUT_OF_DATE,
        },
    )
    purpose = forms.ChoiceField(choices=PURPOSES, error_messages=NO_PURPOSE)
    reason = forms.CharField(required=False, max_length=LONGEST_REASON)

    def __init__(self, data: QueryDict, project: Project):
        super().__init__(data)
        comparisons: Any = self.fields["comparisons"]
        comparisons.queryset = gold.candidates(project)


class DamageForm(forms.Form):
    """How many answers are damaged, and how."""

    how_many = forms.IntegerField(
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=5,
        widget=forms.TextInput(DIGITS),
        help_text=f"1 to {MOST_AT_ONCE}. Drawn from comparisons of two: answers that ended by themselves and were not "
        "damaged yet.",
        error_messages=whole_number_errors(f"1 to {MOST_AT_ONCE}"),
    )
    kind = forms.ChoiceField(label="The damage", required=False, choices=[("", "Each in turn"), *Damage.Kind.choices])
    purpose = forms.ChoiceField(label="Make of it", choices=PURPOSES, error_messages=NO_PURPOSE)

    def clean(self) -> dict[str, Any]:
        """Let `kinds` be the kinds of damage that take turns."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind")
        return cleaned | {"kinds": [kind] if kind else Damage.Kind.values}
