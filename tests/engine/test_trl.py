"""Parity with TRL's DPOTrainer in float32 with eager attention, on the token ids that TRL makes of the data."""

import copy
import json
import math
import os
import random
import statistics
from pathlib import Path

import peft
import pytest
import torch

if os.environ.get("CI") == "true":
    import trl  # requirements/dev.txt has it: CI must see the parity
else:
    trl = pytest.importorskip(
        "trl", reason="TRL is not installed: requirements/dev.txt has it, its parity cannot be seen here."
    )

from datasets import Dataset  # noqa: E402
from torch.utils.data import SequentialSampler  # noqa: E402

from tests.engine.tiny import make_config, make_loss, make_model, make_tokenizer  # noqa: E402
from train.engine.batches import global_batch, micro_batches  # noqa: E402
from train.engine.checkpoints import Checkpoints, Identity, trainable  # noqa: E402
from train.engine.config import TrainingConfig  # noqa: E402
from train.engine.groups import Completion, Pair, Ranking, RawGroup  # noqa: E402
from train.engine.log_probs import score  # noqa: E402
from train.engine.memory import TokenBudget  # noqa: E402
from train.engine.objective import loss_shares  # noqa: E402
from train.engine.output import Metrics  # noqa: E402
from train.engine.stop import StopRequest  # noqa: E402
from train.engine.tokens import Group, GroupTokenizer, TokenSequence  # noqa: E402
from train.engine.training import Trainer, backward  # noqa: E402

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),  # TRL's and datasets' own
]

PAIRS = 24
LOSSES = {  # ours: TRL's
    "sigmoid": {"loss_type": ["sigmoid"]},
    "sigmoid_norm": {"loss_type": ["sigmoid_norm"]},
    "hinge": {"loss_type": ["hinge"]},
    "ipo_norm": {"loss_type": ["ipo"]},
    "robust": {"loss_type": ["robust"], "label_smoothing": 0.2},
}
METRICS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected")


class InOrder(trl.DPOTrainer):
    """TRL's trainer, with the rows in the order that they are given."""

    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(self.train_dataset)


def words(rng):
    return " ".join(rng.choice(["sea", "salt", "why", "tree", "oak", "blue"]) for _ in range(rng.randint(1, 6)))


def string_rows():
    rng = random.Random(1)
    return [
        {"prompt": f"{i} {words(rng)}:", "chosen": f" {words(rng)} a", "rejected": f" {words(rng)} b"}
        for i in range(PAIRS)
    ]


def chat_rows():
    return [
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": row["prompt"]}],
            "chosen": [{"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"role": "assistant", "content": row["rejected"]}],
        }
        for row in string_rows()
    ]


def eager(seed):
    model = make_model(seed)
    model.set_attn_implementation("eager")
    return model


def models(lora):
    """A policy and a reference that differ, for either trainer; with LoRA the reference is the adapter's beginning."""
    if not lora:
        return eager(0).requires_grad_(True), eager(1)
    settings = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", lora_dropout=0.0)
    policy = peft.get_peft_model(eager(0), settings)
    shake(policy, 0.05)
    return policy, copy.deepcopy(policy)


def shake(model, size):
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter += size * torch.randn_like(parameter)


def trl_trainer(folder, policy, reference, rows, *, pad_is_end=False, **arguments):
    tokenizer = make_tokenizer()
    if pad_is_end:
        tokenizer.pad_token = tokenizer.eos_token
    defaults = {
        "output_dir": str(folder / "trl"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "beta": 0.1,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "linear",
        "num_train_epochs": 1,
        "max_length": 512,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 7,
    }
    is_adapter = isinstance(policy, peft.PeftModel)
    return InOrder(
        model=policy,
        ref_model=None if is_adapter else reference,
        args=trl.DPOConfig(**defaults | arguments),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def budget(tokens=8192):
    return TokenBudget(tokens, "cpu", print)


def as_groups(rows, reference):
    """TRL's rows as groups of two, with their log-probabilities under the reference."""
    groups = []
    for row in rows:
        sequences = [TokenSequence(row["prompt_ids"], row[f"{side}_ids"]) for side in ("chosen", "rejected")]
        values = score(reference, sequences, budget=budget(), dtype=torch.float32, stop=StopRequest())
        groups.append(
            Group(sequences, [Pair(0, 1, 1.0, 1.0)], [Ranking(((0,), (1,)))], reference=values.double().tolist())
        )
    return groups


def settings_for(folder, **changes):
    changes = {"method": "full", "lora": None, "held_out": None, "output": str(folder)} | changes
    return TrainingConfig.from_dict(make_config(folder, **changes))


def gradient_of(model):
    return torch.cat([parameter.grad.flatten() for _, parameter in sorted(trainable(model).items())])


@pytest.mark.parametrize("pad_is_end", [False, True])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("rows", [string_rows, chat_rows])
@pytest.mark.parametrize("name", LOSSES)
def test_one_batch(tmp_path, name, rows, lora, pad_is_end):
    policy, reference = models(lora)
    ours = copy.deepcopy(policy)
    theirs = trl_trainer(tmp_path, policy, reference, rows(), pad_is_end=pad_is_end, **LOSSES[name])
    if lora:  # from where TRL's copy of the adapter, its reference, stays
        shake(theirs.model, 0.05)
        shake(ours, 0.05)
    prepared = list(theirs.train_dataset)[:8]
    theirs.model.train()
    loss = theirs.compute_loss(theirs.model, theirs.data_collator(prepared))
    loss.backward()
    expected = {metric: theirs._metrics["train"][metric][-1] for metric in METRICS}

    batch = as_groups(prepared, reference)
    smoothing = LOSSES[name].get("label_smoothing", 0.0)
    settings = settings_for(tmp_path, loss=make_loss(name=name, label_smoothing=smoothing))
    (micro,) = micro_batches(batch, 8192, 8192)
    shares = loss_shares(batch, settings.loss)
    found = backward(ours, batch, shares, micro, settings, budget(), StopRequest())
    assert abs(found["loss"] - loss.item()) < 1e-5
    assert {metric: found[metric] for metric in METRICS} == pytest.approx(expected, abs=1e-4, rel=1e-5)
    assert found["rewards/accuracies"] == pytest.approx(theirs._metrics["train"]["rewards/accuracies"][-1])
    ours_gradient, their_gradient = gradient_of(ours), gradient_of(theirs.model)
    assert (ours_gradient - their_gradient).norm() < 1e-4 * their_gradient.norm()


STEPS = 50


@pytest.mark.parametrize(
    ("arguments", "token_budget", "lora"),
    [
        ({"per_device_train_batch_size": 8}, 8192, False),
        ({"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}, 100, False),
        ({"per_device_train_batch_size": 8}, 100, True),
    ],
    ids=["batch 8", "1 x 8 accumulated", "LoRA"],
)
def test_fifty_steps(tmp_path, arguments, token_budget, lora):
    """The same losses step by step, and no drift to one side; micro-batches of one or of eight are the same to both."""
    policy, reference = models(lora)
    ours = copy.deepcopy(policy)
    order = [i for step in range(STEPS) for i in global_batch(step, PAIRS, 8, seed=7)]
    rows = string_rows()
    theirs = trl_trainer(tmp_path, policy, reference, [rows[i] for i in order], **arguments)
    first_of = {i: theirs.train_dataset[order.index(i)] for i in range(PAIRS)}
    groups = as_groups([first_of[i] for i in range(PAIRS)], reference)
    theirs.train()
    expected = [line for line in theirs.state.log_history if "loss" in line]

    settings = settings_for(
        tmp_path, learning_rate=1e-3, epochs=None, max_steps=STEPS, groups_per_step=8, token_budget=token_budget
    )
    checkpoints = Checkpoints(tmp_path / "checkpoints", Identity(settings.to_dict(), {}))
    with Metrics(tmp_path / "metrics.jsonl") as metrics:
        metrics.begin()
        Trainer(ours, groups, [], settings, budget(token_budget), metrics, checkpoints, StopRequest()).run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if "loss" in line]

    assert len(found) == len(expected) == STEPS
    residuals = [mine["loss"] - their["loss"] for mine, their in zip(found, expected, strict=True)]
    assert max(map(abs, residuals)) < 1e-3
    mean, error = statistics.mean(residuals), statistics.stdev(residuals) / math.sqrt(STEPS)
    assert abs(mean) < max(3 * error, 1e-6)
    assert [line["grad_norm"] for line in found] == pytest.approx([line["grad_norm"] for line in expected], rel=1e-2)
    assert found[-1]["loss"] < 0.5 * found[0]["loss"]


def our_ids(rows):
    """What this trainer makes of plain pairs."""
    tokenizer = GroupTokenizer(make_tokenizer(), (2,), 272, 512, 512)
    raw = [
        RawGroup("row", row["prompt"], [Completion(text(row["chosen"])), Completion(text(row["rejected"]))], [ONE])
        for row in rows
    ]
    loss = settings_for(Path("/data")).loss
    return [group.sequences for group in tokenizer.tokenize(raw, loss)]


ONE = Ranking(((0,), (1,)))


def text(answer):
    return answer if isinstance(answer, str) else answer[0]["content"]


def test_texts_become_the_same_ids(tmp_path):
    """Of a chat TRL also trains what its template prints after the end of the turn; nothing samples that."""
    policy, reference = models(lora=False)
    for rows, after_the_turn in ((string_rows(), []), (chat_rows(), make_tokenizer()("\n")["input_ids"])):
        theirs = trl_trainer(tmp_path, policy, reference, rows).train_dataset
        for row, (chosen, rejected) in zip(theirs, our_ids(rows), strict=True):
            assert chosen.prompt == rejected.prompt == row["prompt_ids"]
            assert chosen.completion + after_the_turn == row["chosen_ids"]
            assert rejected.completion + after_the_turn == row["rejected_ids"]
