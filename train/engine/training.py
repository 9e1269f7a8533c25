"""The training loop and what it calls: batch, log-ratios, loss, backward, clip, step, log."""

import math
import resource
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from train.engine.batches import MicroBatch, fill_tokens, global_batch, micro_batches, steps_per_epoch
from train.engine.config import TrainingConfig
from train.engine.errors import EngineError
from train.engine.log_probs import causal_lm, score, score_batches, sequence_log_probs
from train.engine.models import autocast_dtype
from train.engine.objective import pair_shares, pair_tensors, preference_loss, preference_metrics
from train.engine.output import Metrics, write_json
from train.engine.stop import StopRequest
from train.engine.tokens import Group

# A step whose loss or gradient is not finite is skipped; one more than this in a row stops the run.
MOST_SKIPPED_STEPS = 3

# Where policy and reference are the same weights: the most that |log-ratio| per token may be, nats.
START_TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}


def total_steps(config: TrainingConfig, groups: int) -> int:
    """Return the optimizer steps of the run."""
    steps = config.epochs * steps_per_epoch(groups, config.groups_per_step)
    return steps if config.max_steps is None else min(steps, config.max_steps)


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Return the learning rate of optimizer step `step`, counted from 0, of `steps`.

    It rises in equal parts to its peak within the warm-up, and then stays, or falls so that it would be 0
    one step after the last: no step is wasted on a rate of 0.
    """
    warmup = round(config.warmup_share * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / (steps - warmup)
    factor = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return config.learning_rate * factor[config.schedule]


def make_optimizer(model: Any, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW over the trainable weights; only matrices decay, not norms and biases."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate, fused=True)


def train(
    model: Any,
    groups: list[Group],
    held_out: list[Group],
    config: TrainingConfig,
    metrics: Metrics,
    stop: StopRequest,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train the model in place and return the metrics of the last step and of the last evaluation.

    All that the loop carries from step to step is the weights, the optimizer's state and the step's number:
    batches and learning rates follow from the number and the configuration.

    Raises:
        EngineError: loss or gradient stayed not finite.
        Stopped: the run was asked to stop.
    """
    steps = total_steps(config, len(groups))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(model, config)
    fill = fill_tokens(causal_lm(model).device.type, config.token_budget)
    line: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    skipped = 0
    for step in range(steps):
        began = time.perf_counter()
        batch = [groups[i] for i in global_batch(step, len(groups), config.groups_per_step, config.seed)]
        shares = pair_shares(batch, config.loss.reduction)
        totals: defaultdict[str, float] = defaultdict(float)
        for micro in micro_batches(batch, config.token_budget, fill):
            for name, value in backward(model, batch, shares, micro, config, stop).items():
                totals[name] += value

        grad_norm = float(torch.nn.utils.clip_grad_norm_(trainable, config.max_grad_norm))
        rate = learning_rate(config, step, steps)
        finite = math.isfinite(totals["loss"]) and math.isfinite(grad_norm)
        if finite:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        skipped = 0 if finite else skipped + 1

        line = {
            "step": step + 1,
            "steps": steps,
            "epoch": round((step + 1) / steps_per_epoch(len(groups), config.groups_per_step), 4),
            **totals,
            "grad_norm": grad_norm,
            "learning_rate": rate,
            "tokens_per_second": round(count_tokens(batch) / (time.perf_counter() - began), 1),
            "peak_memory_bytes": peak_memory_bytes(),
        }
        if not finite:
            line["skipped"] = "The loss or the gradient is not finite: the weights were left as they were."
        metrics.write(line)
        if skipped > MOST_SKIPPED_STEPS:
            raise not_finite(batch, step, Path(config.output))
        due = config.evaluate_every_steps is not None and (step + 1) % config.evaluate_every_steps == 0
        if held_out and (due or step + 1 == steps):
            evaluation = evaluate(model, held_out, config, metrics, stop)
            metrics.write({"step": step + 1, "steps": steps, "epoch": line["epoch"], **evaluation})
    return line, evaluation


def backward(
    model: Any,
    batch: list[Group],
    shares: list[list[float]],
    micro: MicroBatch,
    config: TrainingConfig,
    stop: StopRequest,
) -> dict[str, float]:
    """Add a micro-batch's part of the loss's gradient to the weights and return its part of the metrics.

    A group that exceeds the token budget is split exactly: the loss depends on the weights only through one
    number per answer, so its derivatives by these numbers are computed first, without the model's graph, and
    then each part of the group goes backward with them as weights.

    Raises:
        Stopped: the run was asked to stop; the gradient is not whole.
    """
    stop.check()
    device, dtype = causal_lm(model).device, autocast_dtype(config)
    groups = [batch[i] for i in micro.groups]
    rows = [sequence for group in groups for sequence in group.sequences]
    reference = reference_tensor(groups, device)  # (R,)
    pairs = pair_tensors(groups, [shares[i] for i in micro.groups], device)
    if len(micro.parts) == 1:
        log_probs = sequence_log_probs(model, rows, dtype=dtype)  # (R,)
        log_ratios = log_probs - reference  # (R,)
        loss = preference_loss(log_ratios, pairs, config.loss)
        torch.autograd.backward(loss)
    else:
        log_probs = score(model, rows, token_budget=config.token_budget, dtype=dtype, stop=stop)  # (R,)
        log_ratios = (log_probs - reference).requires_grad_()  # (R,)
        loss = preference_loss(log_ratios, pairs, config.loss)
        weights = torch.autograd.grad(loss, log_ratios)[0].float()  # (R,)
        for part in micro.parts:
            stop.check()
            part_log_probs = sequence_log_probs(model, [rows[i] for i in part], dtype=dtype)
            torch.autograd.backward((weights[part] * part_log_probs).sum())
    measured = preference_metrics(log_probs.detach(), log_ratios.detach(), pairs, config.loss.beta)
    return {"loss": loss.item(), **measured}


def check_start(model: Any, groups: list[Group], config: TrainingConfig, stop: StopRequest) -> None:
    """Stop a run whose policy does not start at its reference although both are the same weights.

    On the first batch the mean |rho| per token must be within START_TOLERANCE, and the loss must be the one
    at rho = 0, up to what that tolerance can change (the losses' slopes are at most 1).

    Raises:
        EngineError: one of them is not so: policy and reference are not computed alike.
    """
    batch = [groups[i] for i in global_batch(0, len(groups), config.groups_per_step, config.seed)]
    rows = [sequence for group in batch for sequence in group.sequences]
    device = causal_lm(model).device
    log_probs = score(model, rows, token_budget=config.token_budget, dtype=autocast_dtype(config), stop=stop)
    log_ratios = log_probs - reference_tensor(batch, device)  # (R,)
    tolerance = START_TOLERANCE[config.dtype]
    tokens = sum(len(sequence.completion) for sequence in rows)
    per_token = float(log_ratios.abs().sum()) / tokens
    pairs = pair_tensors(batch, pair_shares(batch, config.loss.reduction), device)
    loss = float(preference_loss(log_ratios, pairs, config.loss))
    expected = float(preference_loss(torch.zeros_like(log_ratios), pairs, config.loss))
    slack = 1e-6 + 2 * config.loss.beta * tolerance * max(len(sequence.completion) for sequence in rows)
    if not (per_token <= tolerance and abs(loss - expected) <= slack):
        raise EngineError(
            "The starting policy is its own reference, but their log-probabilities differ by "
            f"{per_token:.2g} nats per token (at most {tolerance:g} is rounding), and the loss is {loss:.6f} "
            f"instead of {expected:.6f}. If `reference_cache` was made on another machine, empty it and "
            "start again."
        )


def evaluate(
    model: Any, held_out: list[Group], config: TrainingConfig, metrics: Metrics, stop: StopRequest
) -> dict[str, float]:
    """Return the loss and metrics of all held-out groups as one batch, with keys that begin with eval_."""
    device = causal_lm(model).device
    rows = [sequence for group in held_out for sequence in group.sequences]
    log_probs = torch.empty(len(rows), device=device)  # (R,)
    done = 0
    batches = score_batches(model, rows, token_budget=config.token_budget, dtype=autocast_dtype(config))
    for indexes, values in batches:
        log_probs[indexes] = values
        done += len(indexes)
        metrics.stage("evaluating", done, len(rows))
        stop.check()
    pairs = pair_tensors(held_out, pair_shares(held_out, config.loss.reduction), device)
    log_ratios = log_probs - reference_tensor(held_out, device)  # (R,)
    loss = float(preference_loss(log_ratios, pairs, config.loss))
    measured = {"loss": loss, **preference_metrics(log_probs, log_ratios, pairs, config.loss.beta)}
    return {f"eval_{name}": value for name, value in measured.items()}


def not_finite(batch: list[Group], step: int, output: Path) -> EngineError:
    """Write the batch whose loss or gradient is not finite, and return the error that stops the run."""
    path = output / "not-finite-batch.json"
    groups = [
        {
            "reference": [str(value) for value in group.reference],
            "prompt": group.sequences[0].prompt,
            "completions": [sequence.completion for sequence in group.sequences],
        }
        for group in batch
    ]
    write_json(path, {"step": step + 1, "groups": groups})
    return EngineError(
        f"The loss or the gradient was not finite in {MOST_SKIPPED_STEPS + 1} steps in a row. "
        f"The last batch is in {path}. Lower `learning_rate`, or check the starting checkpoint."
    )


def reference_tensor(groups: list[Group], device: torch.device) -> torch.Tensor:
    """Return log pi_ref(y | x) of the groups' rows, one group after another, nats. Shape (R,), float64."""
    values = [value for group in groups for value in group.reference]
    return torch.tensor(values, dtype=torch.float64, device=device)


def count_tokens(groups: list[Group]) -> int:
    """Return the tokens of the groups' rows, padding not counted."""
    return sum(sequence.length for group in groups for sequence in group.sequences)


def peak_memory_bytes() -> int:
    """Return the most memory used so far: of the GPU where there is one, otherwise of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
