"""What an admin may choose for a round, and presets by the size of the data, each with its source."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from projects.models import Prompt
from train.datasets import part_file
from train.engine.config import LoraConfig, LossConfig, PolicyConfig, TrainingConfig
from train.models import Round

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class RoundSettings:
    """All that a round can be given; the names and meanings are those of `train.engine.config`."""

    method: str = "lora"
    lora_rank: int = 16
    lora_alpha: int | None = None  # None is twice the rank
    lora_modules: str = ALL_LINEAR  # or names of modules, parted by blanks
    loss: str = "sigmoid"
    beta: float = 0.1
    votes: str = "share"
    reduction: str = "pair"
    ties: str = "ignore"
    label_smoothing: float = 0.0
    nll_weight: float = 0.0
    learning_rate: float = 2e-4
    schedule: str = "linear"
    warmup_share: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    epochs: int = 1
    max_steps: int | None = None
    groups_per_step: int = 4
    max_prompt_tokens: int = 2048
    max_completion_tokens: int = 2048
    token_budget: int = 4096
    dtype: str = "float32"
    deterministic: bool = False
    seed: int = 0
    evaluate_every_steps: int | None = None
    checkpoint_every_steps: int | None = 20

    def engine_config(self, round: Round, output: Path) -> TrainingConfig:
        """Return the trainer's configuration.

        Raises:
            ConfigError: a setting is out of its range; the text names it.
        """
        start, reference = round.start, round.reference
        held_out = round.dataset.held_out_groups > 0
        return TrainingConfig(
            model=start.checkpoint,
            adapter=start.folder if start.base_id else None,
            reference=PolicyConfig(model=reference.checkpoint, adapter=reference.folder if reference.base_id else None),
            data=str(part_file(round.dataset, Prompt.Side.TRAIN)),
            held_out=str(part_file(round.dataset, Prompt.Side.HELD_OUT)) if held_out else None,
            output=str(output),
            reference_cache=str(settings.WINNOW_HOME / "run" / "reference-cache"),
            loss=LossConfig(
                name=self.loss,
                beta=self.beta,
                votes=self.votes,
                reduction=self.reduction,
                ties=self.ties,
                label_smoothing=self.label_smoothing,
                nll_weight=self.nll_weight,
            ),
            method=self.method,
            lora=self._lora() if self.method == "lora" else None,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warmup_share=self.warmup_share,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            epochs=self.epochs,
            max_steps=self.max_steps,
            groups_per_step=self.groups_per_step,
            max_prompt_tokens=self.max_prompt_tokens,
            max_completion_tokens=self.max_completion_tokens,
            token_budget=self.token_budget,
            dtype=self.dtype,
            deterministic=self.deterministic,
            seed=self.seed,
            evaluate_every_steps=self.evaluate_every_steps if held_out else None,
            checkpoint_every_steps=self.checkpoint_every_steps,
        )

    def _lora(self) -> LoraConfig:
        modules = ALL_LINEAR if self.lora_modules.strip() == ALL_LINEAR else tuple(self.lora_modules.split())
        alpha = self.lora_alpha or 2 * self.lora_rank
        return LoraConfig(rank=self.lora_rank, alpha=alpha, target_modules=modules)


@dataclass(frozen=True)
class Preset:
    """Settings that are known to work for data of some size."""

    key: str
    name: str
    fits: str  # when to take it
    source: str  # where the numbers come from
    most_pairs: int | None  # offered first up to so many pairs to train on; None is not by size
    settings: RoundSettings


PRESETS = (
    Preset(
        "small",
        "Small",
        "Up to a thousand pairs; an adapter.",
        "Measured with SmolLM2-135M on the demo's 105 prompts: docs/benchmarks.md.",
        1000,
        RoundSettings(),
    ),
    Preset(
        "medium",
        "Medium",
        "Thousands of pairs; an adapter.",
        "torchtune's recipe for Llama 3.1 8B, LoRA (llama3_1/8B_lora_dpo).",
        20_000,
        RoundSettings(
            lora_rank=8,
            lora_alpha=16,
            learning_rate=5e-4,
            schedule="cosine",
            weight_decay=0.05,
            groups_per_step=32,
            dtype="bfloat16",
            token_budget=8192,
            checkpoint_every_steps=50,
        ),
    ),
    Preset(
        "large",
        "Large",
        "Tens of thousands of pairs; an adapter.",
        "Zephyr 7B's QLoRA recipe on one GPU, without its 4-bit weights (alignment-handbook, zephyr-7b-beta/dpo).",
        None,
        RoundSettings(
            lora_rank=128,
            lora_alpha=128,
            beta=0.01,
            learning_rate=5e-6,
            schedule="cosine",
            groups_per_step=16,
            dtype="bfloat16",
            token_budget=16384,
            checkpoint_every_steps=50,
        ),
    ),
    Preset(
        "full",
        "All weights",
        "Tens of thousands of pairs, on a large GPU.",
        "Tülu 3 8B's DPO stage (open-instruct, tulu3/dpo_8b.sh): length-normalised, hence the high beta.",
        None,
        RoundSettings(
            method="full",
            loss="sigmoid_norm",
            beta=5.0,
            learning_rate=5e-7,
            groups_per_step=128,
            dtype="bfloat16",
            token_budget=16384,
            checkpoint_every_steps=100,
        ),
    ),
)


def preset_for(pairs: int) -> Preset:
    """Return the preset that suits so many pairs to train on."""
    by_size = [preset for preset in PRESETS if preset.most_pairs is not None and pairs <= preset.most_pairs]
    return by_size[0] if by_size else next(preset for preset in PRESETS if preset.key == "large")
