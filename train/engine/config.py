"""The configuration of one training run: read from JSON, checked once, saved with the run.

This module imports no torch: the web side reads and writes configurations with it.
"""

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from train.engine.errors import ConfigError

# The keys of `PAIR_LOSSES` in losses.py, which imports torch, and the loss of whole rankings.
LOSS_NAMES = ("sigmoid", "sigmoid_norm", "robust", "hinge", "ipo", "ipo_norm", "plackett_luce")
# Those that know of wrong votes: by a smoothed label (conservative DPO), or by taking their bias out (robust DPO).
SMOOTHED_LOSSES = ("sigmoid", "sigmoid_norm", "robust")

MOST_THREADS = 1024

# A resumed run may have other values of these; they decide how fast it goes and what is kept, not what comes out.
MACHINE_FIELDS = ("token_budget", "threads", "reference_cache", "checkpoint_every_steps")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """A policy: a full checkpoint, or one adapter on a full checkpoint."""

    model: str  # folder of a full checkpoint (safetensors)
    adapter: str | None = None  # folder of a PEFT LoRA adapter on it, or null

    def __post_init__(self) -> None:
        check_path("reference.model", self.model)
        check_path("reference.adapter", self.adapter, optional=True)

    @property
    def folders(self) -> list[str]:
        """The folders that hold its weights."""
        return [self.model] if self.adapter is None else [self.model, self.adapter]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What is minimised, and how votes become labels and weights."""

    name: str  # one of LOSS_NAMES; docs/dpo.md has their formulas
    beta: float  # strength of the pull towards the reference, above 0; 0.05 to 0.5, for per-token losses 2 to 10
    votes: str  # a pair weighs 1 ("share") or the number of its votes ("count")
    reduction: str  # mean over the pairs of the global batch ("pair"), or mean of the groups' means ("group")
    ties: str  # a tie is no vote ("ignore") or half a vote for either side ("half")
    label_smoothing: float = 0.0  # probability that a vote is wrong, 0 (off) to below 0.5; of SMOOTHED_LOSSES
    nll_weight: float = 0.0  # of the chosen answers' negative log-likelihood per token, 0 (off) or more

    def __post_init__(self) -> None:
        check_choice("loss.name", self.name, LOSS_NAMES)
        check_number("loss.beta", self.beta, above=0, hint="Typical are 0.05 to 0.5, for per-token losses 2 to 10.")
        check_choice("loss.votes", self.votes, ("share", "count"))
        check_choice("loss.reduction", self.reduction, ("pair", "group"))
        check_choice("loss.ties", self.ties, ("ignore", "half"))
        check_number("loss.label_smoothing", self.label_smoothing, least=0, below=0.5)
        check_number("loss.nll_weight", self.nll_weight, least=0)
        if self.label_smoothing and self.name not in SMOOTHED_LOSSES:
            raise ConfigError(
                f"`loss.label_smoothing` is {self.label_smoothing}, but the loss {self.name!r} has none. "
                f"Leave it out, or choose {', '.join(SMOOTHED_LOSSES)}."
            )
        if self.name == "robust" and not self.label_smoothing:
            raise ConfigError(
                "`loss.label_smoothing`, the probability that a vote is wrong, must be above 0 and below 0.5 with the "
                'loss "robust", got 0.'
            )


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """The adapter that is trained: plain LoRA, as vLLM can serve it."""

    rank: int  # inner dimension, 1 to 512
    alpha: int  # the update is scaled by alpha / rank; 1 or more
    target_modules: str | tuple[str, ...]  # "all-linear" (without lm_head) or module names

    def __post_init__(self) -> None:
        check_integer("lora.rank", self.rank, least=1, most=512)
        check_integer("lora.alpha", self.alpha, least=1)
        if isinstance(self.target_modules, list):  # JSON has no tuples
            object.__setattr__(self, "target_modules", tuple(self.target_modules))
        names = self.target_modules
        if names != "all-linear" and not (
            isinstance(names, tuple) and names and all(isinstance(name, str) and name for name in names)
        ):
            raise ConfigError(f'`lora.target_modules` must be "all-linear" or a list of module names, got {names!r}.')


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run. A field without a default decides the result and must be given."""

    # Policies and files.
    model: str  # folder of the starting checkpoint, a full one
    data: str  # JSONL of the groups to train on
    output: str  # run folder; policy/, metrics.jsonl, config.json and summary.json are written into it
    adapter: str | None = None  # folder of the adapter that the starting policy is; a copy of it is trained
    reference: PolicyConfig | None = None  # reference policy; null is the starting policy
    held_out: str | None = None  # JSONL of the groups to evaluate on, or null
    reference_cache: str | None = None  # folder that keeps reference log-probabilities for later runs, or null

    # The objective and what is trained.
    loss: LossConfig
    method: str  # "lora" trains an adapter, "full" every weight
    lora: LoraConfig | None = None  # given if and only if `method` is "lora"

    # The optimizer (AdamW).
    learning_rate: float  # peak, above 0; typically 1e-4 to 5e-4 for LoRA, 1e-7 to 1e-5 for full
    schedule: str  # after warm-up: "constant", or down to 0 by "linear" or "cosine"
    warmup_share: float  # part of the steps in which the learning rate rises from 0; 0 to below 1
    weight_decay: float  # of AdamW, on matrices only; 0 or more
    max_grad_norm: float  # the gradient's L2 norm is clipped to this; above 0

    # Length of the run and its batches. `epochs` or `max_steps` must be given; with both the shorter one decides.
    epochs: int | None = None  # passes over the data, 1 or more
    max_steps: int | None = None  # optimizer steps, 1 or more
    groups_per_step: int  # global batch: groups per optimizer step, 1 or more
    token_budget: int = 8192  # upper bound on the tokens, padding included, sent through the model at once
    max_prompt_tokens: int  # longer prompts are cut on the left, after the system turn
    max_completion_tokens: int  # longer completions are cut on the right

    # Numbers and the machine.
    seed: int  # of the data order and of a new adapter's weights; 0 to 2**63 - 1
    dtype: str  # of autocast and of frozen weights: "float32" or "bfloat16"
    deterministic: bool = False  # deterministic kernels only; slower on a GPU, the same on a CPU
    threads: int | None = None  # CPU threads, 1 or more; null leaves it to torch

    # What is written on the way.
    evaluate_every_steps: int | None = None  # optimizer steps between evaluations; null is at the end only
    checkpoint_every_steps: int | None = None  # optimizer steps between checkpoints; null is when stopped only

    def __post_init__(self) -> None:
        self._check_files()
        self._check_method()
        check_number("learning_rate", self.learning_rate, above=0, hint="LoRA: 1e-4 to 5e-4; full: 1e-7 to 1e-5.")
        check_choice("schedule", self.schedule, ("constant", "linear", "cosine"))
        check_number("warmup_share", self.warmup_share, least=0, below=1)
        check_number("weight_decay", self.weight_decay, least=0)
        check_number("max_grad_norm", self.max_grad_norm, above=0)
        for name in ("groups_per_step", "token_budget", "max_prompt_tokens", "max_completion_tokens"):
            check_integer(name, getattr(self, name), least=1)
        for name in ("epochs", "max_steps", "evaluate_every_steps", "checkpoint_every_steps", "threads"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), least=1, most=MOST_THREADS if name == "threads" else None)
        if self.epochs is None and self.max_steps is None:
            raise ConfigError("`epochs` and `max_steps` are both missing. Give one of them, or both.")
        check_integer("seed", self.seed, least=0, most=2**63 - 1)
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))
        if not isinstance(self.deterministic, bool):
            raise ConfigError(f"`deterministic` must be true or false, got {self.deterministic!r}.")

    def _check_files(self) -> None:
        for name in ("model", "data", "output"):
            check_path(name, getattr(self, name))
        for name in ("adapter", "held_out", "reference_cache"):
            check_path(name, getattr(self, name), optional=True)
        if self.evaluate_every_steps is not None and self.held_out is None:
            raise ConfigError(
                "`evaluate_every_steps` is given but `held_out` is null, so there is nothing to evaluate on. "
                "Give `held_out` or leave `evaluate_every_steps` out."
            )

    def _check_method(self) -> None:
        check_choice("method", self.method, ("lora", "full"))
        if self.method == "lora" and self.lora is None:
            raise ConfigError('`lora` is missing. With `method` "lora" give its `rank` and `alpha`.')
        if self.method == "full" and self.lora is not None:
            raise ConfigError('`lora` must be null when `method` is "full": no adapter would be trained.')
        if self.method == "full" and self.adapter is not None:
            raise ConfigError(
                f'`method` "full" cannot start from an adapter, got `adapter` {self.adapter!r}. '
                'Merge the adapter into its model first, or train with `method` "lora".'
            )

    @property
    def start(self) -> PolicyConfig:
        """The starting policy."""
        return PolicyConfig(model=self.model, adapter=self.adapter)

    @property
    def reference_is_start(self) -> bool:
        """Whether the reference policy is the starting policy."""
        if self.reference is None:
            return True
        mine, other = (list(map(os.path.realpath, policy.folders)) for policy in (self.reference, self.start))
        return mine == other

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingConfig":
        """Build a configuration from parsed JSON.

        Raises:
            ConfigError: a field is unknown, missing or wrong; the message names it.
        """
        values = dict(values) if isinstance(values, dict) else values
        for name, kind in (("loss", LossConfig), ("lora", LoraConfig), ("reference", PolicyConfig)):
            if isinstance(values, dict) and values.get(name) is not None:
                values[name] = build(kind, values[name], f"{name}.")
        if isinstance(values, dict) and "loss" in values and values["loss"] is None:
            raise ConfigError("`loss` must be an object with at least `name` and `beta`, got null.")
        return build(cls, values, "")

    @classmethod
    def load(cls, path: str | Path) -> "TrainingConfig":
        """Read a configuration from a JSON file.

        Raises:
            ConfigError: the file cannot be read, is no JSON, or holds a wrong configuration.
        """
        return cls.from_dict(read_json(path))

    def difference(self, other: "TrainingConfig") -> str | None:
        """Return the first field that decides the result and differs, or None."""
        mine, others = self.to_dict(), other.to_dict()
        return next((name for name in mine if name not in MACHINE_FIELDS and mine[name] != others[name]), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values that `from_dict` takes back."""
        return dataclasses.asdict(self)


def read_json(path: str | Path) -> Any:
    """Return the parsed JSON of a configuration file, or raise ConfigError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"The configuration {path} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise ConfigError(f"The configuration {path} is not valid JSON: {exc}.") from exc


def build(kind: type[T], values: Any, prefix: str) -> T:
    """Build the dataclass `kind`, naming unknown and missing fields with their prefix."""
    if not isinstance(values, dict):
        where = f"`{prefix[:-1]}`" if prefix else "The configuration"
        raise ConfigError(f"{where} must be a JSON object, got {values!r}.")
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    names = [field.name for field in fields]
    for name, value in values.items():
        if name not in names:
            raise ConfigError(
                f"`{prefix}{name}` is not a field of the configuration (it came with {value!r}). "
                f"Allowed are: {', '.join(prefix + known for known in names)}."
            )
    for field in fields:
        if field.name not in values and field.default is dataclasses.MISSING:
            raise ConfigError(f"`{prefix}{field.name}` is missing. It has no default: please give it.")
    return kind(**values)


def check_path(name: str, value: object, *, optional: bool = False) -> None:
    """Raise ConfigError unless `value` is a non-empty string (or None, where optional)."""
    if optional and value is None:
        return
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"`{name}` must be a path{' or null' if optional else ''}, got {value!r}.")


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"`{name}` must be {' or '.join(map(json.dumps, allowed))}, got {value!r}.")


def check_integer(name: str, value: object, *, least: int, most: int | None = None) -> None:
    """Raise ConfigError unless `value` is a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most and value > most):
        limits = f"from {least} to {most}" if most else f"of {least} or more"
        raise ConfigError(f"`{name}` must be a whole number {limits}, got {value!r}.")


def check_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> None:
    """Raise ConfigError unless `value` is a finite number within the limits that are given."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if good and isinstance(value, int | float):
        good = (
            (above is None or value > above) and (least is None or value >= least) and (below is None or value < below)
        )
    if not good:
        limits = {"above": above, "at least": least, "below": below}
        allowed = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)
        raise ConfigError(f"`{name}` must be a number {allowed}, got {value!r}. {hint}".rstrip())
