"""Which judgements a dataset takes, as a form: on the launch page, on the datasets page, and as a command's options."""

import argparse
import re
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.db.models import Q

from annotate.models import Revision
from generation.fields import policy_label, whole_number
from generation.finding import policy_named
from generation.models import Policy
from projects.models import Project
from train.models import Dataset
from train.rules import (
    LARGEST_CAP,
    LARGEST_OVERLAP,
    LARGEST_SEED,
    LISTS,
    Expansion,
    Opinions,
    Rule,
    RuleError,
    Settlements,
    Since,
)

MOST_DATASETS_OFFERED = 20
NEW = ""  # of the datasets to choose from: one by the rule


def choice(label: str, help_text: str, choices: dict[str, str]) -> forms.ChoiceField:
    wrong = f"Choose one of: {', '.join(choices.values())}."
    return forms.ChoiceField(
        label=label,
        help_text=help_text,
        choices=list(choices.items()),
        error_messages={"required": wrong, "invalid_choice": wrong},
    )


def day(label: str, help_text: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Give a day such as 2026-03-31."},
    )


class SeveralField(forms.ModelMultipleChoiceField):
    """Boxes to tick, one for each person or policy."""

    def __init__(self, model: Any, label: str, help_text: str):
        gone = "One of these is not to be had here. Choose of the list."
        super().__init__(
            model.objects.none(),
            label=label,
            help_text=help_text,
            required=False,
            widget=forms.CheckboxSelectMultiple,
            error_messages={"invalid_choice": gone, "invalid_pk_value": gone, "list": gone},
        )

    def label_from_instance(self, obj: Any) -> str:
        return policy_label(obj) if isinstance(obj, Policy) else str(obj)


class RuleForm(forms.Form):
    """A dataset's rule, field by field, or a dataset that there is."""

    dataset = forms.ChoiceField(
        label="Dataset",
        help_text="A dataset that there is never changes: what stands below is then not used.",
        required=False,
        error_messages={"invalid_choice": "There is no such frozen dataset. Choose one of the list."},
    )
    since = choice("Judged", "Held-out prompts are measured with all that was judged.", dict(Since.choices))
    first_day = day("From", "Between two days: the first, in UTC.")
    last_day = day("To", "Between two days: the last, in UTC.")
    overlap = whole_number("People, at least", "Who judged a comparison.", least=1, most=LARGEST_OVERLAP)
    agreement = whole_number(
        "Agreement, at least",
        "Per cent of the people who say what most say. 67 is 2 of 3; 0 is any. One judgement always counts.",
        least=0,
        most=100,
    )
    strength = choice(
        "Strength, at least",
        "What is chosen without a strength counts with “any” only.",
        {"0": "any"} | {str(value): str(label) for value, label in reversed(Revision.Strength.choices)},
    )
    people_left_out = SeveralField(User, "People left out", "From this dataset only.")
    policies = SeveralField(
        Policy, "Answers by", "None ticked: by all. Answers that people wrote themselves are always in."
    )
    expansion = choice("From a ranking", "Four answers give up to six pairs.", dict(Expansion.choices))
    opinions = choice(
        "Several opinions",
        "Where all votes are kept, a round’s settings “Votes” and “Ties” weigh them. A tie is not unanimous.",
        dict(Opinions.choices),
    )
    pairs_per_prompt = whole_number(
        "At most, for one prompt",
        "Pairs. Keeps a few popular prompts from drowning the rest. Empty: all.",
        least=1,
        most=LARGEST_CAP,
        required=False,
    )
    cap_seed = whole_number(
        "Seed of that choice", "Another seed keeps other pairs of these prompts.", least=0, most=LARGEST_SEED
    )
    settlements = choice(
        "Settled comparisons", "What an admin has settled on the review page.", dict(Settlements.choices)
    )

    JUDGEMENTS = ("since", "first_day", "last_day", "overlap", "agreement", "strength", "settlements")
    SEVERAL = ("people_left_out", "policies")
    PAIRS = ("expansion", "opinions", "pairs_per_prompt", "cap_seed")

    def __init__(self, project: Project, data: Any = None, *, rule: Rule | None = None, offer_datasets: bool = False):
        """Begin with a rule. Where datasets are offered, one that there is can be chosen instead."""
        self.project = project
        self.beginning = rule or Rule()
        super().__init__(data, initial=initial_of(self.beginning))
        self.datasets: list[Dataset] = []
        fields: dict[str, Any] = self.fields
        if offer_datasets:
            frozen = project.datasets.filter(frozen_at__isnull=False).order_by("-number")
            self.datasets = list(frozen[:MOST_DATASETS_OFFERED])
            there_are = [(str(dataset.number), f"Dataset {dataset.number}") for dataset in self.datasets]
            fields["dataset"].choices = [(NEW, "a new one, by the rule below"), *there_are]
        else:
            del self.fields["dataset"]
        of_project = Q(memberships__project=project) | Q(seats__project=project)
        fields["people_left_out"].queryset = User.objects.filter(of_project).order_by("username").distinct()
        known = Policy.objects.filter(Q(project=project) | Q(project=None))
        fields["policies"].queryset = known.order_by("-pk")

    def judgements(self) -> list[forms.BoundField]:
        return [self[name] for name in self.JUDGEMENTS]

    def several(self) -> list[forms.BoundField]:
        return [self[name] for name in self.SEVERAL]

    def pairs(self) -> list[forms.BoundField]:
        return [self[name] for name in self.PAIRS]

    def clean(self) -> dict[str, Any]:
        """Put what the rule refuses at the field that it names."""
        if not self.errors and not self.chosen_dataset():
            try:
                self.rule()
            except RuleError as error:
                self._blame(str(error))
        return self.cleaned_data

    def _blame(self, text: str) -> None:
        named = re.search(r"`(\w+)`", text)
        for name, field in self.fields.items():
            text = text.replace(f"`{name}`", f"“{field.label}”")
        self.add_error(named[1] if named and named[1] in self.fields else None, text)

    def rule(self) -> Rule:
        """Return the rule that was chosen.

        Raises:
            RuleError: fields do not go together.
        """
        values: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if name != "dataset"}
        if values["since"] != Since.DATES:
            values["first_day"] = values["last_day"] = None
        values["strength"] = int(values["strength"])
        return Rule(**values | {name: tuple(sorted(row.pk for row in values[name])) for name in LISTS})

    def chosen_dataset(self) -> Dataset | None:
        """Return the dataset that was chosen instead of a rule."""
        chosen = self.cleaned_data.get("dataset")
        return next((dataset for dataset in self.datasets if str(dataset.number) == chosen), None)


def initial_of(rule: Rule) -> dict[str, Any]:
    """Return what the fields begin with."""
    return {name: getattr(rule, name) for name in RuleForm.base_fields if name != "dataset"}


# ---- As a command's options


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of a rule, under the field's name."""
    group = parser.add_argument_group("which judgements", "The rule of the dataset that is made.")
    for name, field in RuleForm.base_fields.items():
        if name == "dataset":
            continue
        words = f"{field.label}. {field.help_text}".replace("%", "%%")
        option: Any = {"nargs": "*"} if name in LISTS else {"choices": [key for key, _ in choices_of(field)] or None}
        group.add_argument(f"--{name.replace('_', '-')}", help=words, **option)


def choices_of(field: Any) -> list[tuple[str, str]]:
    return list(getattr(field, "choices", []))


def rule_form(project: Project, options: dict[str, Any], rule: Rule) -> RuleForm:
    """Return the form filled by a command's options; what they leave open is as in the rule.

    People are named by their names, policies by names or ids.

    Raises:
        CommandError: there is no such policy.
    """
    values = initial_of(rule) | {name: options[name] for name in RuleForm.base_fields if options.get(name) is not None}
    if options.get("people_left_out"):
        people = dict(User.objects.filter(username__in=options["people_left_out"]).values_list("username", "pk"))
        values["people_left_out"] = [people.get(name, name) for name in options["people_left_out"]]
    if options.get("policies"):
        values["policies"] = [policy_named(project, name).pk for name in options["policies"]]
    return RuleForm(project, values)
