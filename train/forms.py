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
from train.models import Dataset, Round
from train.recipes import PRESETS, RoundSettings, preset_for
from train.rounds import launch_round
from train.rule_forms import choice
from train.rules import Rule

LORA, FULL = "lora", "full"
USUAL_RATES = {LORA: (1e-4, 5e-4), FULL: (1e-7, 1e-5)}
FAR_TOO_HIGH, FAR_TOO_LOW = 100, 1000  # times beyond the usual rates: surely a slip
FIELD_OF_SETTING = {"loss.name": "loss", "lora.target_modules": "lora_modules"}  # others: see `field_of`
NUMBERS = ("beta", "learning_rate", "label_smoothing", "nll_weight", "warmup_share", "weight_decay", "max_grad_norm")
LARGEST_SEED = 2**31 - 1
LARGEST = 10_000_000  # of counts and lengths: beyond it is a slip
MOST_ROUNDS_OFFERED = 10  # whose settings can be taken again


def plain(value: float) -> str:
    """Return a number as people type it: 5e-6, 0.1."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if exponent:
        return f"{mantissa}e{int(exponent)}"
    return mantissa if value >= 0.01 or not value else f"{value:.2e}".replace("e-0", "e-").replace(".00", "")


def likely_rate(rate: float, method: str) -> float:
    """Return the largest usual rate with the same digits."""
    _, high = USUAL_RATES[method]
    digits = float(f"{rate:e}".partition("e")[0])
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


def field_of(setting: str) -> str:
    """Return the page's field for a field of the trainer's configuration."""
    group, _, name = setting.partition(".")
    return FIELD_OF_SETTING.get(setting) or (f"lora_{name}" if group == "lora" else name or group)


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
    beta = number(
        "Beta (β)",
        "How strongly it stays close. Higher is more careful. 0.05 to 0.5; for losses per token 2 to 10.",
        most=1000,
    )
    learning_rate = number("Learning rate", "1e-4 to 5e-4 for adapters, 1e-7 to 1e-5 for all weights.")
    epochs = whole_number("Epochs", "How often each pair is seen. More than 2 rarely helps.", least=1, most=LARGEST)
    groups_per_step = whole_number(
        "Comparisons a step", "More makes each step surer, and fewer steps.", least=1, most=LARGEST
    )
    max_steps = whole_number("At most", "Steps. Empty: as many as there are.", least=1, most=LARGEST, required=False)
    seed = whole_number("Seed", "The same seed trains the same way again.", least=0, most=LARGEST_SEED)

    loss = choice(
        "Loss",
        "What is minimised; the guide to DPO in docs/dpo.md has the formulas.",
        {
            "sigmoid": "DPO",
            "sigmoid_norm": "DPO per token",
            "robust": "robust DPO",
            "hinge": "hinge (SLiC)",
            "ipo": "IPO",
            "ipo_norm": "IPO per token",
            "plackett_luce": "whole rankings (Plackett–Luce)",
        },
    )
    label_smoothing = number("Wrong votes", "Share of the votes that are taken to be wrong. 0 is none.")
    nll_weight = number(
        "Weight of likelihood", "Holds the chosen answers' likelihood up. 0 is off; Llama 3 took 0.2.", most=1000
    )
    votes = choice("Votes", "", {"share": "each pair weighs the same", "count": "a pair weighs its votes"})
    reduction = choice(
        "Many answers to a prompt",
        "",
        {"pair": "each pair weighs the same", "group": "each comparison weighs the same"},
    )
    ties = choice("Ties", "", {"ignore": "are left out", "half": "are half a vote for each"})
    schedule = choice(
        "Learning rate over time",
        "After the warm-up.",
        {"linear": "falls evenly", "cosine": "falls as a cosine", "constant": "stays"},
    )
    warmup_share = number("Warm-up", "Part of the steps in which the learning rate rises. 0 to below 1.")
    weight_decay = number("Weight decay", "0 is none.", most=1000)
    max_grad_norm = number("Longest gradient", "Its L2 norm is clipped to this.", most=1_000_000)
    lora_alpha = whole_number("Alpha of the adapter", "Empty: twice the rank.", least=1, most=LARGEST, required=False)
    lora_modules = forms.CharField(
        label="Layers with an adapter",
        help_text="all-linear, or names of layers parted by blanks.",
        error_messages={"required": "Give all-linear, or names of layers such as q_proj v_proj."},
    )
    max_prompt_tokens = whole_number(
        "Longest prompt", "Tokens; what is longer is cut on the left.", least=1, most=LARGEST
    )
    max_completion_tokens = whole_number("Longest answer", "Tokens; what is longer is cut.", least=1, most=LARGEST)
    token_budget = whole_number(
        "Tokens at once", "Fewer need less memory. The result is the same.", least=1, most=LARGEST
    )
    dtype = choice("Precision", "", {"float32": "32 bits", "bfloat16": "16 bits (bfloat16), for GPUs"})
    deterministic = forms.BooleanField(
        label="Bit for bit the same again", help_text="On a GPU this is slower.", required=False
    )
    evaluate_every_steps = whole_number(
        "Measure on held-out pairs every", "Steps. Empty: at the end only.", least=1, required=False
    )
    checkpoint_every_steps = whole_number(
        "Checkpoint every",
        "Steps, to go on from when something dies. Empty: when stopped only.",
        least=1,
        required=False,
    )

    LAYERS = (
        ("Objective", ("loss", "label_smoothing", "nll_weight", "votes", "reduction", "ties")),
        ("Optimizer", ("schedule", "warmup_share", "weight_decay", "max_grad_norm", "lora_alpha", "lora_modules")),
        ("Machine", ("max_prompt_tokens", "max_completion_tokens", "token_budget", "dtype", "deterministic")),
        ("On the way", ("evaluate_every_steps", "checkpoint_every_steps")),
    )

    def __init__(self, project: Project, data: Any = None, *, pairs: int = 0, settings: str = ""):
        """Begin with the settings named: a preset's key, a round's number, or what suits best where it is empty."""
        self.project = project
        self.chosen = ""  # the key of the settings that the fields began with
        self.chosen_rule = Rule()  # that of the round whose settings they are
        super().__init__(data, initial=self._defaults(pairs, settings))
        for name in ("start", "reference"):
            field: Any = self.fields[name]
            field.queryset = Policy.objects.usable_in(project).select_related("base")

    def _defaults(self, pairs: int, settings: str) -> dict[str, Any]:
        """Return the settings asked for, or the last round's, unless they do not fit the policy to be trained."""
        start = newest_policy(self.project)
        adapter = start if start and start.base_id else None
        known_rounds = self.project.rounds.select_related("dataset").order_by("-number")
        self.rounds = list(known_rounds.only("number", "configuration", "dataset__rule")[:MOST_ROUNDS_OFFERED])
        chosen = next((preset for preset in PRESETS if preset.key == settings), None)
        known = next((round for round in self.rounds if str(round.number) == settings), None)
        last = self.rounds[0] if self.rounds else None
        if not chosen and not known and last and not (adapter and last.configuration["method"] == FULL):
            known = last
        preset = chosen or preset_for(pairs)
        values = asdict(preset.settings) | (known.configuration if known else {})
        self.chosen = str(known.number) if known else preset.key
        self.chosen_rule = known.dataset.made_by if known else Rule()
        if adapter:
            values |= {"method": LORA, "lora_rank": adapter.lora_rank, "lora_alpha": None}
        written = {name: plain(values[name]) for name in NUMBERS}
        return values | {"start": start} | written

    def settings_to_choose_from(self) -> list[tuple[str, str, str]]:
        """Return key, name and description of the settings that the fields can begin with."""
        own = [(str(round.number), f"Round {round.number}", "") for round in self.rounds]
        return own + [(preset.key, preset.name, f"{preset.fits} {preset.source}") for preset in PRESETS]

    def told(self) -> str:
        """Say where the settings on the page come from."""
        preset = next((preset for preset in PRESETS if preset.key == self.chosen), None)
        if preset is None:
            return f"Everything is set as in round {self.chosen}. Change what you need."
        return f"{preset.fits} {preset.source} Change what you need."

    def layers(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields that few need, by heading."""
        return [(heading, [self[name] for name in names]) for heading, names in self.LAYERS]

    def has_deep_errors(self) -> bool:
        return any(name in self.errors for _, names in self.LAYERS for name in names)

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

    def launch(
        self, user: User | None = None, *, rule: Rule | None = None, dataset: Dataset | None = None
    ) -> Round | None:
        """Queue the round. What the trainer would refuse becomes its field's error, and the answer is None.

        It trains on the dataset, or on that of the rule; without either, on all that is judged by now.

        Raises:
            NothingToTrainOn: no judgement prefers one answer to another.
        """
        values = dict(self.cleaned_data)
        start, reference = values.pop("start"), values.pop("reference")
        values["lora_rank"] = values["lora_rank"] or RoundSettings.lora_rank
        try:
            chosen = RoundSettings(**values)
            return launch_round(self.project, start, chosen, rule=rule, dataset=dataset, reference=reference, user=user)
        except ConfigError as error:
            self._blame(str(error))
            return None

    def _blame(self, text: str) -> None:
        """Put the trainer's words at the field that they name, under the name that it has on the page."""
        named = re.match(r"`([\w.]+)`", text)
        setting = named[1] if named else ""
        field = field_of(setting)
        if field in self.fields:
            self.add_error(field, text.replace(f"`{setting}`", str(self.fields[field].label), 1))
        else:
            self.add_error(None, text)


def in_words(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return label and value, as the launch page names them, of the settings that few need."""
    fields: dict[str, Any] = LaunchForm.base_fields
    words = []
    for name in (name for _, names in LaunchForm.LAYERS for name in names):
        value = settings[name]
        if isinstance(fields[name], forms.ChoiceField):
            text = dict(fields[name].choices)[value]
        elif name in NUMBERS:
            text = plain(value)
        else:
            text = "–" if value is None else "yes" if value is True else "no" if value is False else f"{value}"
        words.append((str(fields[name].label), text))
    return words
