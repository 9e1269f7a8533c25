"""Losses by arithmetic, and the loss of a group as the loss of its pairs."""

import math
from itertools import permutations

import pytest
import torch

from train.engine.config import LossConfig
from train.engine.groups import Pair
from train.engine.losses import conservative_label, sigmoid_loss, soft_pair_losses
from train.engine.objective import PairTensors, pair_shares, pair_tensors, preference_loss, preference_metrics
from train.engine.tokens import Group, TokenSequence

CPU = torch.device("cpu")


def losses(log_ratios, p, beta=0.1):
    """The losses of the pairs (0, 1), (2, 3), ..."""
    first = torch.arange(0, len(log_ratios), 2)
    return soft_pair_losses(
        torch.tensor(log_ratios, dtype=torch.float64),
        first,
        first + 1,
        torch.tensor(p, dtype=torch.float64),
        beta=beta,
        loss=sigmoid_loss,
    )


def test_it_is_ln_2_where_policy_and_reference_agree():
    assert losses([0.0, 0.0, 3.0, 3.0], [1.0, 0.3]).tolist() == pytest.approx([math.log(2)] * 2)


def test_it_is_equation_7_for_two_answers_and_a_certain_label():
    """chosen -5 under the policy and -7 under the reference, rejected -6 and -5, beta 0.5:
    z = 0.5 * ((-5 + 7) - (-6 + 5)) = 1.5, -log(1 / (1 + e**-1.5)) = 0.20141."""
    assert losses([-5.0 + 7.0, -6.0 + 5.0], [1.0], beta=0.5).item() == pytest.approx(0.2014132779827524)


def test_swapped_labels_flip_it():
    straight, swapped = losses([2.0, -1.0], [1.0]), losses([-1.0, 2.0], [1.0])
    assert swapped.item() - straight.item() == pytest.approx(0.1 * 3)  # l(-z) - l(z) = z
    assert losses([2.0, -1.0], [0.0]).item() == pytest.approx(swapped.item())


def test_a_soft_label_mixes_both_sides():
    """z = 0.1 * 3: 0.75 * log(1 + e**-0.3) + 0.25 * log(1 + e**0.3) = 0.62936."""
    expected = 0.75 * math.log1p(math.exp(-0.3)) + 0.25 * math.log1p(math.exp(0.3))
    assert losses([2.0, -1.0], [0.75]).item() == pytest.approx(expected)


def test_a_soft_label_is_best_where_the_policy_gives_its_odds():
    z = torch.tensor([math.log(3) / 0.1, 0.0], dtype=torch.float64, requires_grad=True)
    loss = soft_pair_losses(z, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.75]), beta=0.1, loss=sigmoid_loss)
    assert torch.autograd.grad(loss.sum(), z)[0].abs().max() < 1e-9


def test_raising_the_chosen_log_prob_lowers_it():
    assert losses([2.0, 0.0], [1.0]) < losses([1.0, 0.0], [1.0])


def test_conservative_labels():
    assert conservative_label(torch.tensor([1.0, 0.0, 0.5]), 0.1).tolist() == pytest.approx([0.9, 0.1, 0.5])


def test_it_rejects_a_beta_of_zero():
    with pytest.raises(ValueError, match="beta must be above 0, got 0"):
        losses([1.0, 0.0], [1.0], beta=0)


def group(pairs, answers=4):
    return Group([TokenSequence([1], [2])] * answers, [Pair(*pair) for pair in pairs])


GROUPS = [
    group([(0, 1, 1.0, 1.0), (0, 2, 0.75, 4.0), (1, 3, 0.2, 5.0)]),
    group([(2, 0, 1.0, 2.0)], answers=3),
    group([(0, 1, 0.5, 2.0), (1, 2, 0.0, 3.0)], answers=3),
]


@pytest.mark.parametrize("reduction", ["pair", "group"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_group_is_its_pairs_expanded(reduction, smoothing):
    """Every answer once, or every answer as often as it is in a pair: the same loss and gradient."""
    torch.manual_seed(0)
    rho = torch.randn(10, dtype=torch.float64, requires_grad=True)
    loss = LossConfig(beta=0.3, reduction=reduction, label_smoothing=smoothing)
    shares = pair_shares(GROUPS, reduction)
    grouped = preference_loss(rho, pair_tensors(GROUPS, shares, CPU), loss)

    expanded = torch.zeros((), dtype=torch.float64)
    row, weights = 0, sum(pair.weight for one in GROUPS for pair in one.pairs)
    for one in GROUPS:
        own = sum(pair.weight for pair in one.pairs)
        for pair in one.pairs:
            p = pair.label * (1 - smoothing) + (1 - pair.label) * smoothing
            z = 0.3 * (rho[row + pair.first] - rho[row + pair.second])
            value = -p * torch.log(torch.sigmoid(z)) - (1 - p) * torch.log(torch.sigmoid(-z))
            expanded = expanded + value * pair.weight / (weights if reduction == "pair" else own * len(GROUPS))
        row += len(one.sequences)
    assert abs(grouped.item() - expanded.item()) < 1e-9
    difference = torch.autograd.grad(grouped, rho)[0] - torch.autograd.grad(expanded, rho)[0]
    assert difference.abs().max() < 1e-9


@pytest.mark.parametrize("reduction", ["pair", "group"])
def test_shares_sum_to_one(reduction):
    assert sum(map(sum, pair_shares(GROUPS, reduction))) == pytest.approx(1)


def test_shares_by_pair_and_by_group():
    groups = [group([(0, 1, 1.0, 1.0), (0, 2, 1.0, 3.0)]), group([(0, 1, 1.0, 4.0)])]
    assert pair_shares(groups, "pair") == [[1 / 8, 3 / 8], [4 / 8]]
    assert pair_shares(groups, "group") == [[1 / 8, 3 / 8], [1 / 2]]


def test_metrics_of_one_pair():
    """Log-ratios 2 and -1, beta 0.1: rewards 0.2 and -0.1, margin 0.3."""
    pairs = PairTensors(torch.tensor([0]), torch.tensor([1]), torch.ones(1), torch.ones(1))
    metrics = preference_metrics(torch.tensor([-5.0, -6.0]), torch.tensor([2.0, -1.0]), pairs, 0.1)
    expected = {
        "rewards/chosen": 0.2,
        "rewards/rejected": -0.1,
        "rewards/accuracies": 1,
        "rewards/margins": 0.3,
        "logps/chosen": -5,
        "logps/rejected": -6,
    }
    assert metrics == pytest.approx(expected)


def test_metrics_do_not_depend_on_which_answer_of_a_pair_stands_first():
    log_probs, rho = torch.tensor([-5.0, -6.0], dtype=torch.float64), torch.tensor([2.0, -1.0], dtype=torch.float64)
    metrics = []
    for (i, j), p in zip(permutations(range(2)), (0.75, 0.25), strict=True):
        label = torch.tensor([p], dtype=torch.float64)
        pairs = PairTensors(torch.tensor([i]), torch.tensor([j]), label, torch.ones(1))
        metrics.append(preference_metrics(log_probs, rho, pairs, 0.1))
    assert metrics[0] == pytest.approx(metrics[1])
    assert metrics[0]["rewards/accuracies"] == pytest.approx(0.75)


def test_a_policy_that_is_its_reference_has_no_reward_and_is_right_nowhere():
    pairs = pair_tensors(GROUPS, pair_shares(GROUPS, "pair"), CPU)
    metrics = preference_metrics(torch.full((10,), -3.0), torch.zeros(10), pairs, 0.1)
    assert metrics["rewards/margins"] == metrics["rewards/accuracies"] == metrics["rewards/chosen"] == 0
