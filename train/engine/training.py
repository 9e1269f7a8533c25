"""The training loop and what it calls: batch, log-ratios, loss, backward, clip, step, log, checkpoint."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from train.engine.batches import MicroBatch, global_batch, micro_batches, steps_per_epoch
from train.engine.checkpoints import Checkpoints, State, restore, trainable
from train.engine.config import TrainingConfig
from train.engine.errors import EngineError, Stopped
from train.engine.intervals import clustered_interval
from train.engine.log_probs import causal_lm, score, score_batches, sequence_log_probs
from train.engine.memory import TokenBudget, peak_memory_bytes
from train.engine.models import autocast_dtype
from train.engine.objective import (
    Shares,
    loss_shares,
    preference_loss,
    preference_metrics,
    preferences,
    right_pairs,
)
from train.engine.output import Metrics, only_finite, write_json
from train.engine.stop import StopRequest
from train.engine.tokens import Group
from train.engine.watch import Watch

# A step whose loss or gradient is not finite is skipped; one more than this in a row stops the run.
MOST_SKIPPED_STEPS = 3

# Where policy and reference are the same weights: the most that |log-ratio| per token may be, nats.
START_TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}


def total_steps(config: TrainingConfig, groups: int) -> int:
    """Return the optimizer steps of the run."""
    limits = [config.max_steps]
    if config.epochs is not None:
        limits.append(config.epochs * steps_per_epoch(groups, config.groups_per_step))
    return min(limit for limit in limits if limit is not None)


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
    parameters = trainable(model).values()
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate, fused=True)


@dataclass
class Trainer:
    """One run's loop. All that it carries from step to step is the weights, the optimizer's state and `state`:
    batches and learning rates follow from the step's number and the configuration.
    """

    model: Any
    groups: list[Group]
    held_out: list[Group]
    config: TrainingConfig
    budget: TokenBudget
    metrics: Metrics
    checkpoints: Checkpoints
    stop: StopRequest

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.model, self.config)
        self.state = State()
        self.steps = total_steps(self.config, len(self.groups))
        self.last: dict[str, Any] = {}  # metrics of the last step
        self.evaluation: dict[str, Any] = {}  # of the last evaluation
        self.watch = Watch()

    def resume(self, checkpoint: Path, lines: list[dict[str, Any]]) -> None:
        """Go on from a checkpoint, whose run had written these lines of metrics."""
        self.state = restore(checkpoint, self.model, self.optimizer)
        if self.state.token_budget is not None:
            self.budget.tokens = min(self.budget.tokens, self.state.token_budget)
        for line in lines:
            self._remember(line)

    def run(self) -> None:
        """Train the model in place.

        Raises:
            EngineError: loss or gradient stayed not finite, memory or disk does not suffice.
            Stopped: the run was asked to stop; a checkpoint of the last whole step is kept.
        """
        try:
            while True:
                if self._evaluation_is_due():
                    self._evaluate()
                if self.state.step == self.steps:
                    check_finite(self.model, self.steps)
                    return
                self._step()
                if self.config.checkpoint_every_steps and self.state.step % self.config.checkpoint_every_steps == 0:
                    self._save()
        except Stopped:
            if self.state.step:
                self._save()
            raise

    def _evaluation_is_due(self) -> bool:
        step, every = self.state.step, self.config.evaluate_every_steps
        return bool(self.held_out and step and (step == self.steps or (every and step % every == 0)))

    def _save(self) -> None:
        check_finite(self.model, self.state.step)
        self.metrics.sync()
        self.checkpoints.save(self.model, self.optimizer, self.state)

    def _step(self) -> None:
        """Make one optimizer step, or skip it where its loss or gradient is not finite."""
        began = time.perf_counter()
        step = self.state.step
        indexes = global_batch(step, len(self.groups), self.config.groups_per_step, self.config.seed)
        batch = [self.groups[i] for i in indexes]
        longest = max(sequence.length for group in batch for sequence in group.sequences)
        totals = self.budget.retry(lambda: self._gradient(batch), longest=longest)

        parameters = list(trainable(self.model).values())
        grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        rate = learning_rate(self.config, step, self.steps)
        finite = math.isfinite(totals["loss"]) and math.isfinite(grad_norm)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state = replace(
            self.state,
            step=step + 1,
            skipped=0 if finite else self.state.skipped + 1,
            token_budget=self.budget.tokens,
        )
        sent, tokens, cut = totals.pop("sent"), count_tokens(batch), sum(group.cut_tokens for group in batch)
        line: dict[str, Any] = {
            "step": step + 1,
            "steps": self.steps,
            "epoch": self._epoch(),
            **totals,
            "grad_norm": grad_norm,
            "learning_rate": rate,
            "tokens_per_second": round(tokens / (time.perf_counter() - began), 1),
            "padding_share": round(1 - tokens / sent, 4),
            "cut_share": round(cut / (tokens + cut), 4),
            "peak_memory_bytes": peak_memory_bytes(),
        }
        if not finite:
            line["skipped"] = "The loss or the gradient is not finite: this step changed nothing."
            if self.state.skipped == 1:  # of several in a row the first; the lines have each
                self.metrics.warn(f"Step {step + 1} was skipped: its loss or gradient was not finite.")
        self._log(line)
        if self.state.skipped > MOST_SKIPPED_STEPS:
            raise not_finite(batch, step, Path(self.config.output))

    def _epoch(self) -> float:
        """Return how often the data was seen by now."""
        return round(self.state.step / steps_per_epoch(len(self.groups), self.config.groups_per_step), 4)

    def _gradient(self, batch: list[Group]) -> dict[str, float]:
        """Put the gradient of a global batch's loss on the weights and return its metrics."""
        self.optimizer.zero_grad(set_to_none=True)
        shares = loss_shares(batch, self.config.loss)
        totals: defaultdict[str, float] = defaultdict(float)
        for micro in micro_batches(batch, self.budget.tokens, self.budget.fill):
            values = backward(self.model, batch, shares, micro, self.config, self.budget, self.stop)
            for name, value in values.items():
                totals[name] += value
        return dict(totals)

    def _evaluate(self) -> None:
        longest = max(sequence.length for group in self.held_out for sequence in group.sequences)
        found = self.budget.retry(
            lambda: evaluate(self.model, self.held_out, self.config, self.budget, self.metrics, self.stop),
            longest=longest,
        )
        self._log({"step": self.state.step, "steps": self.steps, "epoch": self._epoch(), **found})

    def _log(self, line: dict[str, Any]) -> None:
        """Write a line of metrics, and what it gives rise to."""
        line = only_finite(line)
        self.metrics.write(line)
        warning = self._remember(line)
        if warning is not None:
            self.metrics.warn(warning)
        if "loss" in line:
            self.state = replace(self.state, metrics_bytes=self.metrics.size)

    def _remember(self, line: dict[str, Any]) -> str | None:
        if "loss" in line:
            self.last = line
        elif "eval_loss" in line:
            self.evaluation = {name: value for name, value in line.items() if name.startswith("eval_")}
        return self.watch.see(line)


def backward(
    model: Any,
    batch: list[Group],
    shares: list[Shares],
    micro: MicroBatch,
    config: TrainingConfig,
    budget: TokenBudget,
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
    said = preferences(groups, [shares[i] for i in micro.groups], device)
    if len(micro.parts) == 1:
        log_ratios = sequence_log_probs(model, rows, dtype=dtype) - said.reference  # (R,)
        loss = preference_loss(log_ratios, said, config.loss)
        torch.autograd.backward(loss)
    else:
        log_ratios = (score(model, rows, budget=budget, dtype=dtype, stop=stop) - said.reference).requires_grad_()
        loss = preference_loss(log_ratios, said, config.loss)
        weights = torch.autograd.grad(loss, log_ratios)[0].float()  # (R,)
        for part in micro.parts:
            stop.check()
            part_log_probs = sequence_log_probs(model, [rows[i] for i in part], dtype=dtype)
            torch.autograd.backward((weights[part] * part_log_probs).sum())
    sent = sum(len(part) * max(rows[i].length for i in part) for part in micro.parts)
    return {
        "loss": loss.item(),
        **preference_metrics(log_ratios.detach(), said, config.loss.beta),
        "sent": float(sent),
    }


def check_start(
    model: Any, groups: list[Group], config: TrainingConfig, budget: TokenBudget, stop: StopRequest
) -> None:
    """Stop a run whose policy does not start at its reference although both are the same weights.

    On the first batch the mean |rho| per token must be within START_TOLERANCE, and the loss must be the one
    at rho = 0, up to what that tolerance can change.

    Raises:
        EngineError: one of them is not so: policy and reference are not computed alike.
    """
    batch = [groups[i] for i in global_batch(0, len(groups), config.groups_per_step, config.seed)]
    rows = [sequence for group in batch for sequence in group.sequences]
    said = preferences(batch, loss_shares(batch, config.loss), causal_lm(model).device)
    log_probs = score(model, rows, budget=budget, dtype=autocast_dtype(config), stop=stop)
    log_ratios = log_probs - said.reference  # (R,)
    tolerance = START_TOLERANCE[config.dtype]
    tokens = float(said.lengths.sum())
    per_token = float(log_ratios.abs().sum()) / tokens
    zeros = torch.zeros_like(log_ratios, requires_grad=True)
    start = preference_loss(zeros, said, config.loss)
    slope, expected = float(torch.autograd.grad(start, zeros)[0].abs().max()), start.item()
    loss = float(preference_loss(log_ratios, said, config.loss))
    slack = 1e-6 + 2 * slope * tolerance * tokens
    if not (per_token <= tolerance and abs(loss - expected) <= slack):
        raise EngineError(
            "The starting policy is its own reference, but their log-probabilities differ by "
            f"{per_token:.2g} nats per token (at most {tolerance:g} is rounding), and the loss is {loss:.6f} "
            f"instead of {expected:.6f}. If `reference_cache` was made on another machine, empty it and "
            "start again."
        )


def evaluate(
    model: Any,
    held_out: list[Group],
    config: TrainingConfig,
    budget: TokenBudget,
    metrics: Metrics,
    stop: StopRequest,
) -> dict[str, float]:
    """Return the loss and metrics of all held-out groups as one batch, with keys that begin with eval_.

    The accuracy comes with its 95% interval; pairs of one prompt are not independent, and count as one cluster.
    """
    device = causal_lm(model).device
    rows = [sequence for group in held_out for sequence in group.sequences]
    log_probs = torch.empty(len(rows), device=device)  # (R,)
    done = 0
    for indexes, values in score_batches(model, rows, budget=budget, dtype=autocast_dtype(config)):
        log_probs[indexes] = values
        done += len(indexes)
        metrics.stage("evaluating", done, len(rows))
        stop.check()
    said = preferences(held_out, loss_shares(held_out, config.loss), device)
    log_ratios = log_probs - said.reference  # (R,)
    loss = float(preference_loss(log_ratios, said, config.loss))
    measured = {"loss": loss, **preference_metrics(log_ratios, said, config.loss.beta)}
    low, high = clustered_interval(
        right_pairs(log_ratios, said).tolist(), said.share.tolist(), list(prompts_of_pairs(held_out))
    )
    measured |= {"rewards/accuracies_low": low, "rewards/accuracies_high": high}
    return {f"eval_{name}": value for name, value in measured.items()}


def prompts_of_pairs(groups: list[Group]) -> Iterator[tuple[int, ...]]:
    """Yield the prompt's token ids for each pair of each group."""
    for group in groups:
        prompt = tuple(group.sequences[0].prompt)
        yield from [prompt] * len(group.pairs)


def check_finite(model: Any, step: int) -> None:
    """Raise EngineError unless every trained weight is finite: nothing else may be kept."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in trainable(model).values()):
        raise EngineError(
            f"The trained weights are not finite after step {step}. Lower `learning_rate`, or check the data."
        )


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


def count_tokens(groups: list[Group]) -> int:
    """Return the tokens of the groups' rows, padding not counted."""
    return sum(sequence.length for group in groups for sequence in group.sequences)
