"""Form fields whose errors say what is allowed, and how policies are named in a choice."""

from typing import Any

from django import forms

from generation.models import Policy

NUMBER = {"class": "num", "autocomplete": "off"}


class PolicyField(forms.ModelChoiceField):
    """A choice among policies. The queryset comes from the form, which knows the project."""

    def __init__(self, label: str, help_text: str, **options: Any):
        errors = {
            "required": "Choose a policy.",
            "invalid_choice": "This policy is not to be had here. Choose one of the list.",
        }
        super().__init__(Policy.objects.none(), label=label, help_text=help_text, error_messages=errors, **options)

    def label_from_instance(self, obj: Any) -> str:
        return policy_label(obj)


def policy_label(policy: Policy) -> str:
    return f"{policy.name} (adapter)" if policy.base_id else policy.name


def whole_number(
    label: str, help_text: str = "", *, least: int, most: int | None = None, required: bool = True
) -> forms.IntegerField:
    allowed = f"from {least:,} to {most:,}" if most is not None else f"of {least:,} or more"
    wrong = f"Give a whole number {allowed}."
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=least,
        max_value=most,
        widget=forms.TextInput({**NUMBER, "inputmode": "numeric"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), wrong),
    )


def number(
    label: str, help_text: str = "", *, least: float | None = None, most: float | None = None
) -> forms.FloatField:
    if most is None:
        allowed = "such as 0.5 or 5e-6"
    else:
        allowed = f"of at most {most:,}, such as 0.1" if least is None else f"from {least:g} to {most:g}"
    wrong = f"Give a number {allowed}."
    return forms.FloatField(
        label=label,
        help_text=help_text,
        min_value=least,
        max_value=most,
        widget=forms.TextInput({**NUMBER, "inputmode": "decimal"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), wrong),
    )
