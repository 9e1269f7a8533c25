"""What an admin may choose for a round, and the checks that catch a slip before it costs an hour."""

import math
import re
from dataclasses import asdict
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from generation.fields import PolicyField, number, whole_number
from generation.forms import newest_policy
from generation.models import Policy
from projects.models import Project
from train.engine.errors import ConfigError
from train.models import Round
from train.rounds import RoundSettings, launch_round

LORA, FULL = "lora", "full"
USUAL_RATES = {LORA: (1e-4, 5e-4), FULL: (1e-7, 1e-5)}
FAR_TOO_HIGH, FAR_TOO_LOW = 100, 1000  # times beyond the usual rates: surely a slip
FIELD_OF_SETTING = {"loss.beta": "beta", "lora.rank": "lora_rank", "lora.alpha": "lora_rank"}
LARGEST_SEED = 2**31 - 1


def plain(value: float) -> str:
    """Return a number as people type it: 5e-6, 0.1."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if exponent:
        return f"{mantissa}e{int(exponent)}"
    return mantissa if value >= 0.01 or not value else f"{value:.2e}".replace("e-0", "e-").replace(".00", "")


def likely_rate(rate: float, method: str) -> float:
    """Return the largest usual rate with the same digits."""
    _, high = USUAL_RATES[method]
    digits = rate / 10 ** math.floor(math.log10(rate))
    likely = digits * 10.0 ** math.floor(math.log10(high))
    return likely if likely <= high else likely / 10


def check_rate(rate: float, method: str) -> None:
    """Refuse a learning rate that is surely mistyped."""
    low, high = USUAL_RATES[method]
    guess = f"Did you mean {plain(likely_rate(rate, method))}?"
    if rate > FAR_TOO_HIGH * high:
        raise ValidationError(
            f"{plain(rate)} is {rate / high:,.0f} times the highest usual rate; the model would break. {guess}"
        )
    if rate < low / FAR_TOO_LOW:
        raise ValidationError(f"{plain(rate)} is so far below the usual rates that nothing would change. {guess}")


class LaunchForm(forms.Form):
    start = PolicyField("Train", "The policy that the new one starts from.", empty_label=None)
    reference = PolicyField(
        "Stay close to",
        "The reference. Usually the policy it starts from.",
        required=False,
        empty_label="the policy it starts from",
    )
    method = forms.ChoiceField(
        label="What is trained",
        choices=[(LORA, "Adapter (LoRA)"), (FULL, "All weights")],
        help_text="An adapter needs a third of the memory.",
        error_messages={"required": "Choose an adapter or all weights."},
    )
    lora_rank = whole_number(
        "Rank of the adapter", "Higher can learn more. Not used for all weights.", least=1, most=512, required=False
    )
    beta = number("Beta (β)", "How strongly it stays close. Higher is more careful.")
    learning_rate = number("Learning rate", "1e-4 to 5e-4 for adapters, 1e-7 to 1e-5 for all weights.")
    epochs = whole_number("Epochs", "How often each pair is seen. More than 2 rarely helps.", least=1)
    groups_per_step = whole_number("Comparisons a step", "More makes each step surer, and fewer steps.", least=1)
    max_steps = whole_number("At most", "Steps. Empty: as many as there are.", least=1, required=False)
    seed = whole_number("Seed", "The same seed trains the same way again.", least=0, most=LARGEST_SEED)

    def __init__(self, project: Project, data: Any = None):
        self.settings_of: int | None = None  # the round whose settings are the defaults
        super().__init__(data, initial=self._defaults(project))
        self.project = project
        for name in ("start", "reference"):
            field: Any = self.fields[name]
            field.queryset = Policy.objects.usable_in(project).select_related("base")

    def _defaults(self, project: Project) -> dict[str, Any]:
        """Return the settings of the last round, unless they do not fit the policy that is to be trained."""
        start = newest_policy(project)
        adapter = start if start and start.base_id else None
        values = asdict(RoundSettings())
        last = project.rounds.order_by("-number").first()
        if last and not (adapter and last.configuration["method"] == FULL):
            values |= last.configuration
            self.settings_of = last.number
        if adapter:
            values |= {"method": LORA, "lora_rank": adapter.lora_rank}
        return values | {"start": start, "beta": plain(values["beta"]), "learning_rate": plain(values["learning_rate"])}

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        start, method, rank = values.get("start"), values.get("method"), values.get("lora_rank")
        if method == LORA and rank is None and "lora_rank" not in self.errors:
            self.add_error("lora_rank", "Give the adapter's rank, such as 16.")
        if start and start.base_id:
            self._check_adapter(start, method, rank)
        reference = values.get("reference")
        if start and reference and reference.tokenizer_fingerprint != start.tokenizer_fingerprint:
            self.add_error(
                "reference", f"It reads other tokens than {start}. Choose a policy of the same base model, or none."
            )
        rate = values.get("learning_rate")
        if method and rate is not None and rate > 0:  # what is not above 0 is the trainer's to refuse
            try:
                check_rate(rate, method)
            except ValidationError as error:
                self.add_error("learning_rate", error)
        return values

    def _check_adapter(self, start: Policy, method: str | None, rank: int | None) -> None:
        if method == FULL:
            self.add_error(
                "method",
                f"{start} is an adapter, and training goes on in it. "
                f"Choose an adapter here, or start from {start.base}.",
            )
        elif method == LORA and rank is not None and rank != start.lora_rank:
            self.add_error(
                "lora_rank",
                f"{start} has rank {start.lora_rank}, and training goes on in it. "
                f"Give {start.lora_rank}, or start from {start.base}.",
            )

    def launch(self, user: User | None = None) -> Round | None:
        """Queue the round. What the trainer would refuse becomes its field's error, and the answer is None.

        Raises:
            NothingToTrainOn: no judgement prefers one answer to another.
        """
        values = dict(self.cleaned_data)
        start, reference = values.pop("start"), values.pop("reference")
        values["lora_rank"] = values["lora_rank"] or RoundSettings.lora_rank
        try:
            return launch_round(self.project, start, RoundSettings(**values), reference=reference, user=user)
        except ConfigError as error:
            self._blame(str(error))
            return None

    def _blame(self, text: str) -> None:
        """Put the trainer's words at the field that they name, under the name that it has on the page."""
        named = re.match(r"`([\w.]+)`", text)
        setting = named[1] if named else ""
        field = FIELD_OF_SETTING.get(setting, setting)
        if field in self.fields:
            self.add_error(field, text.replace(f"`{setting}`", str(self.fields[field].label), 1))
        else:
            self.add_error(None, text)
