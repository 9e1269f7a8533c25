"""The objective of a global batch: every pair's share of the loss, and the metrics of the same pairs."""

from dataclasses import dataclass

import torch

from train.engine.config import LossConfig
from train.engine.losses import LOSSES, conservative_label, soft_pair_losses
from train.engine.tokens import Group


@dataclass(frozen=True)
class PairTensors:
    """The pairs of some groups, whose rows stand one after another. P pairs."""

    first: torch.Tensor  # (P,) row of completion i
    second: torch.Tensor  # (P,) row of completion j
    label: torch.Tensor  # (P,) probability that i is better
    share: torch.Tensor  # (P,) part of the global batch's loss; sums to 1 over that batch


def pair_shares(groups: list[Group], reduction: str) -> list[list[float]]:
    """Return each pair's part of the global batch's loss, by group; all of them sum to 1.

    "pair" is the weighted mean over all pairs of the batch, "group" the mean of the groups' weighted means.
    """
    totals = [sum(pair.weight for pair in group.pairs) for group in groups]
    if reduction == "pair":
        totals = [sum(totals)] * len(groups)
    elif reduction == "group":
        totals = [total * len(groups) for total in totals]
    else:
        raise ValueError(f'reduction must be "pair" or "group", got {reduction!r}.')
    return [[pair.weight / total for pair in group.pairs] for group, total in zip(groups, totals, strict=True)]


def pair_tensors(groups: list[Group], shares: list[list[float]], device: torch.device) -> PairTensors:
    """Return the pairs of the groups as tensors, with rows counted over all of the groups."""
    first, second, label = [], [], []
    row = 0
    for group in groups:
        for pair in group.pairs:
            first.append(row + pair.first)
            second.append(row + pair.second)
            label.append(pair.label)
        row += len(group.sequences)
    flat = [share for group_shares in shares for share in group_shares]
    return PairTensors(
        torch.tensor(first, device=device),
        torch.tensor(second, device=device),
        torch.tensor(label, dtype=torch.float64, device=device),
        torch.tensor(flat, dtype=torch.float64, device=device),
    )


def preference_loss(log_ratios: torch.Tensor, pairs: PairTensors, loss: LossConfig) -> torch.Tensor:
    """Return the pairs' part of the global batch's loss, a scalar.

    Args:
        log_ratios: rho of every row, nats. Shape (R,), float64: pairs are few, and nothing is rounded away.
        pairs: of the same rows.
        loss: which loss, beta and label smoothing.
    """
    label = conservative_label(pairs.label, loss.label_smoothing)
    losses = soft_pair_losses(
        log_ratios, pairs.first, pairs.second, label, beta=loss.beta, loss=LOSSES[loss.name]
    )  # (P,)
    return (pairs.share * losses).sum()


@torch.no_grad()
def preference_metrics(
    log_probs: torch.Tensor, log_ratios: torch.Tensor, pairs: PairTensors, beta: float
) -> dict[str, float]:
    """Return the pairs' part of the metrics, weighted as the loss weighs them.

    A pair whose votes are split counts as its votes: p of it has i as the chosen answer, 1 - p of it has j.
    An answer is right where its reward is strictly higher, so the accuracy is 0 where nothing was learned.

    Args:
        log_probs: log pi_theta(y | x) of every row, nats. Shape (R,).
        log_ratios: rho of every row, nats. Shape (R,).
        pairs: of the same rows.
        beta: scales log-ratios to rewards.
    """
    rewards = beta * log_ratios  # (R,)
    p, q = pairs.share * pairs.label, pairs.share * (1 - pairs.label)  # (P,)
    first, second = rewards[pairs.first], rewards[pairs.second]  # (P,)
    right = p * (first > second) + q * (second > first)
    return {
        "rewards/chosen": float((p * first + q * second).sum()),
        "rewards/rejected": float((p * second + q * first).sum()),
        "rewards/accuracies": float(right.sum()),
        "rewards/margins": float(((p - q) * (first - second)).sum()),
        "logps/chosen": float((p * log_probs[pairs.first] + q * log_probs[pairs.second]).sum()),
        "logps/rejected": float((p * log_probs[pairs.second] + q * log_probs[pairs.first]).sum()),
    }
