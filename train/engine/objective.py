"""The objective of a global batch: every pair's or ranking's share of the loss, and the metrics of the same pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from train.engine.config import LossConfig
from train.engine.groups import Ranking
from train.engine.losses import (
    PAIR_LOSSES,
    conservative_label,
    nll_per_token,
    plackett_luce_loss,
    soft_pair_losses,
)
from train.engine.tokens import Group


@dataclass(frozen=True)
class Shares:
    """What part of the global batch's loss belongs to a group's pairs and rankings; each sums to 1 over the batch."""

    pairs: list[float]
    rankings: list[float]


@dataclass(frozen=True)
class Preferences:
    """What people said of some groups, whose R rows stand one after another. P pairs."""

    reference: torch.Tensor  # (R,) log pi_ref(y | x) of every row, nats, float64
    lengths: torch.Tensor  # (R,) completion tokens of every row, float64
    first: torch.Tensor  # (P,) row of completion i
    second: torch.Tensor  # (P,) row of completion j
    label: torch.Tensor  # (P,) probability that i is better
    share: torch.Tensor  # (P,) part of the global batch's loss; sums to 1 over that batch
    rankings: list[tuple[int, Ranking, float]]  # the group's first row, a ranking of its rows, its share


def loss_shares(groups: list[Group], loss: LossConfig) -> list[Shares]:
    """Return what part of the global batch's loss belongs to each pair, and to each ranking, by group.

    Reduction "pair" is the weighted mean over all pairs of the batch, "group" the mean of the groups' weighted
    means. Rankings of one group weigh together 1 (`votes` "share") or the number of their votes ("count").
    """
    pairs = [[pair.weight for pair in group.pairs] for group in groups]
    rankings = [[ranking.weight for ranking in group.rankings] for group in groups]
    if loss.votes == "share":
        rankings = [[weight / sum(weights) for weight in weights] for weights in rankings]
    return [Shares(*both) for both in zip(reduced(pairs, loss), reduced(rankings, loss), strict=True)]


def reduced(weights: list[list[float]], loss: LossConfig) -> list[list[float]]:
    """Scale the weights, listed by group, so that all of them sum to 1."""
    totals = [sum(group) for group in weights]
    totals = [sum(totals)] * len(weights) if loss.reduction == "pair" else [total * len(weights) for total in totals]
    return [[weight / total for weight in group] for group, total in zip(weights, totals, strict=True)]


def preferences(groups: list[Group], shares: list[Shares], device: torch.device) -> Preferences:
    """Return what people said of the groups as tensors, with rows counted over all of the groups."""
    first, second, label, rankings = [], [], [], []
    row = 0
    for group, share in zip(groups, shares, strict=True):
        for pair in group.pairs:
            first.append(row + pair.first)
            second.append(row + pair.second)
            label.append(pair.label)
        rankings += [(row, *both) for both in zip(group.rankings, share.rankings, strict=True)]
        row += len(group.sequences)

    def numbers(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    return Preferences(
        numbers([value for group in groups for value in group.reference]),
        numbers([len(sequence.completion) for group in groups for sequence in group.sequences]),
        torch.tensor(first, device=device),
        torch.tensor(second, device=device),
        numbers(label),
        numbers([part for share in shares for part in share.pairs]),
        rankings,
    )


def pair_loss(loss: LossConfig) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the loss of a pair as a function of the difference of its log-ratios."""
    named = PAIR_LOSSES[loss.name]
    arguments = {"label_smoothing": loss.label_smoothing} if named.is_robust else {}
    return partial(named.function, beta=loss.beta, **arguments)


def preference_loss(log_ratios: torch.Tensor, said: Preferences, loss: LossConfig) -> torch.Tensor:
    """Return these rows' part of the global batch's loss, a scalar.

    Args:
        log_ratios: rho of every row, nats. Shape (R,), float64: pairs are few, and nothing is rounded away.
        said: of the same rows.
        loss: which loss, and its parameters.
    """
    if loss.name == "plackett_luce":
        scores = loss.beta * log_ratios  # (R,)
        total = scores.new_zeros(())
        for row, ranking, share in said.rankings:
            tiers = [[row + index for index in tier] for tier in ranking.tiers]
            total = total + share * plackett_luce_loss(scores, tiers, ranking.unordered)
    else:
        named = PAIR_LOSSES[loss.name]
        label = said.label if named.is_robust else conservative_label(said.label, loss.label_smoothing)
        ratios = log_ratios / said.lengths if named.per_token else log_ratios
        losses = soft_pair_losses(ratios, said.first, said.second, label, pair_loss(loss))  # (P,)
        total = (said.share * losses).sum()
    if loss.nll_weight:
        nll = nll_per_token(log_ratios + said.reference, said.lengths)  # (R,)
        total = total + loss.nll_weight * by_side(nll, said)[0]
    return total


def by_side(values: torch.Tensor, said: Preferences) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means of rows' values, (R,), over the chosen and over the rejected answers, two scalars.

    The pairs weigh as in the loss. A pair whose votes are split counts as its votes: p of it has i as the chosen
    answer, 1 - p of it has j.
    """
    p, q = said.share * said.label, said.share * (1 - said.label)  # (P,)
    first, second = values[said.first], values[said.second]  # (P,)
    return (p * first + q * second).sum(), (p * second + q * first).sum()


def right_pairs(log_ratios: torch.Tensor, said: Preferences) -> torch.Tensor:
    """Return how much of each pair's votes the policy agrees with, (P,), 0 to 1.

    It agrees where the preferred answer's reward is strictly higher, so with nothing where nothing was learned.
    """
    first, second = log_ratios[said.first], log_ratios[said.second]  # (P,)
    return said.label * (first > second) + (1 - said.label) * (second > first)


@torch.no_grad()
def preference_metrics(log_ratios: torch.Tensor, said: Preferences, beta: float) -> dict[str, float]:
    """Return these rows' part of the metrics, weighted as the pair loss weighs its pairs.

    Args:
        log_ratios: rho of every row, nats. Shape (R,).
        said: of the same rows.
        beta: scales log-ratios to rewards; the rewards are those of summed log-ratios whatever the loss is.
    """
    chosen, rejected = (float(value) for value in by_side(log_ratios, said))
    log_probs = by_side(log_ratios + said.reference, said)
    per_token = by_side(log_ratios / said.lengths, said)
    return {
        "rewards/chosen": beta * chosen,
        "rewards/rejected": beta * rejected,
        "rewards/accuracies": float((said.share * right_pairs(log_ratios, said)).sum()),
        "rewards/margins": beta * (chosen - rejected),
        "logps/chosen": float(log_probs[0]),
        "logps/rejected": float(log_probs[1]),
        "log_ratio/chosen": float(per_token[0]),
        "log_ratio/rejected": float(per_token[1]),
    }
