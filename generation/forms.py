"""What an admin may ask of a sampling job, and an operator of a registration."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from generation.engine import Parameters
from generation.fields import PolicyField, number, whole_number
from generation.models import Policy, Registration, SamplingJob
from generation.policies import register_base
from generation.sampling import create_sampling_job, unsampled_prompts
from projects.models import Project, Prompt

LARGEST_SEED = 2**31 - 1
LARGEST = 10_000_000  # of counts: beyond it is a slip
USUAL_ANSWERS = 4


@dataclass(frozen=True)
class Plan:
    """What a sampling job will do."""

    prompts: int
    n: int
    answers_per_comparison: int

    @property
    def answers(self) -> int:
        return self.prompts * self.n

    @property
    def left_over(self) -> int:
        """Answers to each prompt that find no other to be compared with."""
        return int(self.n % self.answers_per_comparison == 1)

    @property
    def comparisons(self) -> int:
        """How many comparisons come of it, if no two answers read the same."""
        whole, rest = divmod(self.n, self.answers_per_comparison)
        return self.prompts * (whole + (rest > 1))


def prompts_of(project: Project, which: str) -> "QuerySet[Prompt]":
    if which == SamplingForm.UNSAMPLED:
        return unsampled_prompts(project)  # type: ignore[return-value]  # a queryset
    prompts = Prompt.objects.imported().filter(project=project).order_by("pk")
    return prompts.held_out() if which == SamplingForm.HELD_OUT else prompts


def newest_policy(project: Project) -> Policy | None:
    """Return what the project's rounds made last, or else the newest base model."""
    usable = Policy.objects.usable_in(project)
    return usable.filter(project=project).first() or usable.first()


class ParametersForm(forms.Form):
    """How a policy is asked for answers."""

    temperature = number("Temperature", "Higher makes the answers differ more.", least=0, most=5)
    max_tokens = whole_number("Longest answer", "In tokens. What is longer is cut off.", least=1, most=LARGEST)
    top_p = number("Top p", "1: no token is ruled out.", least=0.01, most=1)
    top_k = whole_number("Top k", "0: no token is ruled out.", least=0, most=LARGEST)
    seed = whole_number("Seed", "Empty: drawn.", least=0, most=LARGEST_SEED, required=False)

    @staticmethod
    def usual(project: Project) -> dict[str, Any]:
        """Return what a form begins with: the longest answer of what was last sampled for judging."""
        last = project.sampling_jobs.filter(purpose=SamplingJob.Purpose.JUDGING).order_by("-pk").first()
        most = last.max_tokens if last else SamplingJob._meta.get_field("max_tokens").default
        return {"temperature": 1.0, "max_tokens": most, "top_p": 1.0, "top_k": 0}

    def clean_max_tokens(self) -> int:
        most: int = self.cleaned_data["max_tokens"]
        if most >= settings.WINNOW_CONTEXT_TOKENS:
            raise ValidationError(
                f"The model server reads at most {settings.WINNOW_CONTEXT_TOKENS:,} tokens, prompt and answer "
                f"together. Give less, {settings.WINNOW_CONTEXT_TOKENS // 2:,} for example."
            )
        return most

    def parameters(self, n: int) -> Parameters:
        values = self.cleaned_data
        return Parameters(n, values["temperature"], values["top_p"], values["top_k"], values["max_tokens"])


class SamplingForm(ParametersForm):
    UNSAMPLED, ALL, HELD_OUT = "unsampled", "all", "held-out"

    policy = PolicyField("Policy", "The model that answers.", empty_label=None)
    prompts = forms.ChoiceField(label="Prompts", error_messages={"required": "Choose which prompts."})
    limit = whole_number("At most", "Prompts, oldest first. Empty: all of them.", least=1, most=LARGEST, required=False)
    n = whole_number("Answers to each", "4 give people something to choose from.", least=1, most=64)

    def __init__(self, project: Project, data: Any = None, initial: dict[str, Any] | None = None):
        counts = {which: prompts_of(project, which).count() for which in (self.UNSAMPLED, self.ALL, self.HELD_OUT)}
        super().__init__(data, initial=self._defaults(project, counts) | (initial or {}))
        self.project, self.counts = project, counts
        self._field("policy").queryset = Policy.objects.usable_in(project)
        self._field("prompts").choices = [
            (self.UNSAMPLED, f"not sampled yet ({counts[self.UNSAMPLED]:,})"),
            (self.ALL, f"all ({counts[self.ALL]:,})"),
            (self.HELD_OUT, f"held out ({counts[self.HELD_OUT]:,})"),
        ]

    def _field(self, name: str) -> Any:
        return self.fields[name]

    @classmethod
    def _defaults(cls, project: Project, counts: dict[str, int]) -> dict[str, Any]:
        return cls.usual(project) | {
            "policy": newest_policy(project),
            "prompts": cls.UNSAMPLED if counts[cls.UNSAMPLED] else cls.ALL,
            "n": max(USUAL_ANSWERS, project.answers_per_comparison),
        }

    def clean_n(self) -> int:
        n: int = self.cleaned_data["n"]
        if n < 2:
            raise ValidationError("Ask for 2 answers or more: people compare them with each other.")
        return n

    def clean_temperature(self) -> float:
        temperature: float = self.cleaned_data["temperature"]
        if temperature == 0:
            raise ValidationError(
                "At temperature 0 every answer to a prompt is the same, so there is nothing to compare. "
                "Did you mean 1.0?"
            )
        return temperature

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        which = values.get("prompts")
        if which and not self.counts[which]:
            nothing = {
                self.UNSAMPLED: "Every prompt was sampled already. Choose all to sample them again.",
                self.ALL: "There is no prompt yet. Import some first.",
                self.HELD_OUT: "No prompt is held out in this project.",
            }
            self.add_error("prompts", nothing[which])
        return values

    def plan(self) -> Plan | None:
        """Return what the job will do, or None while that is not to be told."""
        values = self.cleaned_data if self.is_bound else self.initial
        which, n = values.get("prompts"), values.get("n")
        if not (which and n and self.counts[which]):
            return None
        limit = values.get("limit") or self.counts[which]
        return Plan(min(limit, self.counts[which]), n, self.project.answers_per_comparison)

    def launch(self, user: User | None = None) -> SamplingJob:
        values = self.cleaned_data
        return create_sampling_job(
            self.project,
            [values["policy"]],
            prompts_of(self.project, values["prompts"])[: values["limit"]],
            parameters=self.parameters(values["n"]),
            seed=values["seed"],
            user=user,
        )


class RegisterForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="What people call it here.",
        widget=forms.TextInput({"autocomplete": "off"}),
        error_messages={"required": "Give it a name.", "max_length": "At most 120 characters."},
    )
    source = forms.CharField(
        label="Folder or hub id",
        max_length=500,
        help_text="A checkpoint on this machine, such as /models/smollm2, or an id such as org/name.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Give a folder on this machine or a hub id such as org/name."},
    )
    revision = forms.CharField(
        label="Revision",
        required=False,
        max_length=64,
        help_text="Of a hub id: a branch, tag or commit. Empty: the newest, which is then kept.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"max_length": "At most 64 characters."},
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Policy.objects.filter(name=name).exists():
            raise ValidationError(f"There is a policy called “{name}” already. Choose another name.")
        return name

    def register(self, user: User | None = None) -> Registration | None:
        """Queue the registration; a source that is none becomes the field's error, and the answer is None."""
        values = self.cleaned_data
        try:
            return register_base(values["name"], values["source"], values["revision"], user)
        except ValueError as error:
            self.add_error("source", str(error))
            return None
