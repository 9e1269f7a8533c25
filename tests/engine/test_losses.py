"""Losses by arithmetic, and the loss of a group as the loss of its pairs."""

import math
from functools import partial
from itertools import permutations

import pytest
import torch

from tests.engine.tiny import make_loss
from train.engine.config import LossConfig
from train.engine.groups import Pair
from train.engine.losses import PAIR_LOSSES, conservative_label, robust_loss, sigmoid_loss, soft_pair_losses
from train.engine.objective import Preferences, loss_shares, preference_loss, preference_metrics, preferences
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
        partial(sigmoid_loss, beta=beta),
    )


@pytest.mark.parametrize(
    ("name", "smoothing", "expected"),
    [
        # delta = 5 - 2 = 3 over 4 and 2 tokens; beta 0.5; per token 5/4 - 2/2 = 0.25.
        ("sigmoid", 0.0, math.log1p(math.exp(-1.5))),
        ("sigmoid", 0.2, 0.8 * math.log1p(math.exp(-1.5)) + 0.2 * math.log1p(math.exp(1.5))),
        ("robust", 0.2, (0.8 * math.log1p(math.exp(-1.5)) - 0.2 * math.log1p(math.exp(1.5))) / 0.6),
        ("sigmoid_norm", 0.0, math.log1p(math.exp(-0.125))),
        ("hinge", 0.0, 0.0),
        ("ipo", 0.0, (3 - 1) ** 2),
        ("ipo_norm", 0.0, (0.25 - 1) ** 2),
    ],
)
def test_each_loss_by_hand(name, smoothing, expected):
    loss = make(name=name, beta=0.5, label_smoothing=smoothing)
    rho = torch.tensor([5.0, 2.0], dtype=torch.float64)
    assert preference_loss(rho, said_of_one_pair(), loss).item() == pytest.approx(expected)
    swapped = preference_loss(rho, said_of_one_pair(p=0.0), loss).item()
    assert swapped > expected
    mixed = preference_loss(rho, said_of_one_pair(p=0.25), loss).item()
    assert mixed == pytest.approx(0.25 * expected + 0.75 * swapped)


def test_the_robust_loss_of_noisy_votes_is_dpo_s_of_right_ones():
    delta = torch.tensor([0.7])
    noisy = 0.9 * robust_loss(delta, 0.5, 0.1) + 0.1 * robust_loss(-delta, 0.5, 0.1)
    assert noisy.item() == pytest.approx(sigmoid_loss(delta, 0.5).item())


def test_the_nll_term_is_of_the_chosen_answers_per_token():
    """log pi = rho + reference: 5 - 7 over 4 tokens and 2 - 5 over 2 tokens."""
    rho = torch.tensor([5.0, 2.0], dtype=torch.float64, requires_grad=True)
    plain, with_nll = (preference_loss(rho, said_of_one_pair(), make(nll_weight=weight)) for weight in (0, 0.2))
    assert (with_nll - plain).item() == pytest.approx(0.2 * 2 / 4)
    gradients = [torch.autograd.grad(loss, rho)[0] for loss in (with_nll, plain)]
    assert (gradients[0] - gradients[1]).tolist() == pytest.approx([-0.2 / 4, 0])
    split = preference_loss(rho, said_of_one_pair(p=0.75), make(nll_weight=0.2)).item()
    assert split - preference_loss(rho, said_of_one_pair(p=0.75), make()).item() == pytest.approx(
        0.2 * (0.75 * 2 / 4 + 0.25 * 3 / 2)
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
    loss = soft_pair_losses(
        z, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.75]), partial(sigmoid_loss, beta=0.1)
    )
    assert torch.autograd.grad(loss.sum(), z)[0].abs().max() < 1e-9


def test_raising_the_chosen_log_prob_lowers_it():
    assert losses([2.0, 0.0], [1.0]) < losses([1.0, 0.0], [1.0])


def test_conservative_labels():
    assert conservative_label(torch.tensor([1.0, 0.0, 0.5]), 0.1).tolist() == pytest.approx([0.9, 0.1, 0.5])


def group(pairs, answers=4):
    rows = [TokenSequence([1], [2] * (1 + 3 * i)) for i in range(answers)]
    return Group(rows, [Pair(*pair) for pair in pairs], reference=[-2.0 - i * i for i in range(answers)])


def make(**changes):
    return LossConfig(**make_loss(**changes))


def said_of(groups, loss):
    return preferences(groups, loss_shares(groups, loss), CPU)


def said_of_one_pair(i=0, j=1, p=1.0):
    lengths = torch.tensor([4.0, 2.0], dtype=torch.float64)
    reference = torch.tensor([-7.0, -5.0], dtype=torch.float64)
    label = torch.tensor([p], dtype=torch.float64)
    return Preferences(reference, lengths, torch.tensor([i]), torch.tensor([j]), label, torch.ones(1), [])


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
    loss = make(beta=0.3, reduction=reduction, label_smoothing=smoothing)
    grouped = preference_loss(rho, said_of(GROUPS, loss), loss)

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
@pytest.mark.parametrize(
    ("name", "smoothing", "nll_weight"),
    [(name, 0.2 if name == "robust" else 0.0, weight) for name in PAIR_LOSSES for weight in (0.0, 0.3)],
)
def test_every_loss_of_a_group_is_that_of_its_pairs_in_groups_of_two(name, smoothing, nll_weight, reduction):
    torch.manual_seed(1)
    rho = torch.randn(10, dtype=torch.float64, requires_grad=True)
    loss = make(name=name, beta=0.3, reduction=reduction, label_smoothing=smoothing, nll_weight=nll_weight)
    grouped = preference_loss(rho, said_of(GROUPS, loss), loss)
    expanded, row = torch.zeros((), dtype=torch.float64), 0
    for one, shares in zip(GROUPS, loss_shares(GROUPS, loss), strict=True):
        for pair, share in zip(one.pairs, shares.pairs, strict=True):
            two = Group(
                [one.sequences[pair.first], one.sequences[pair.second]],
                [Pair(0, 1, pair.label, 1.0)],
                reference=[one.reference[pair.first], one.reference[pair.second]],
            )
            rows = torch.stack([rho[row + pair.first], rho[row + pair.second]])
            expanded = expanded + share * preference_loss(rows, said_of([two], loss), loss)
        row += len(one.sequences)
    assert abs(grouped.item() - expanded.item()) < 1e-9
    difference = torch.autograd.grad(grouped, rho)[0] - torch.autograd.grad(expanded, rho)[0]
    assert difference.abs().max() < 1e-9


@pytest.mark.parametrize("reduction", ["pair", "group"])
def test_shares_sum_to_one(reduction):
    shares = loss_shares(GROUPS, make(reduction=reduction))
    assert sum(sum(share.pairs) for share in shares) == pytest.approx(1)


def test_shares_by_pair_and_by_group():
    groups = [group([(0, 1, 1.0, 1.0), (0, 2, 1.0, 3.0)]), group([(0, 1, 1.0, 4.0)])]
    assert [share.pairs for share in loss_shares(groups, make(reduction="pair"))] == [[1 / 8, 3 / 8], [4 / 8]]
    assert [share.pairs for share in loss_shares(groups, make(reduction="group"))] == [[1 / 8, 3 / 8], [1 / 2]]


def test_metrics_of_one_pair():
    """Log-ratios 2 and -1, beta 0.1: rewards 0.2 and -0.1, margin 0.3; 4 and 2 tokens."""
    metrics = preference_metrics(torch.tensor([2.0, -1.0], dtype=torch.float64), said_of_one_pair(), 0.1)
    expected = {
        "rewards/chosen": 0.2,
        "rewards/rejected": -0.1,
        "rewards/accuracies": 1,
        "rewards/margins": 0.3,
        "logps/chosen": -5,
        "logps/rejected": -6,
        "log_ratio/chosen": 0.5,
        "log_ratio/rejected": -0.5,
    }
    assert metrics == pytest.approx(expected)


def test_metrics_do_not_depend_on_which_answer_of_a_pair_stands_first():
    rho = torch.tensor([2.0, -1.0], dtype=torch.float64)
    one, other = (
        preference_metrics(rho, said_of_one_pair(i, j, p), 0.1)
        for (i, j), p in zip(permutations(range(2)), (0.75, 0.25), strict=True)
    )
    assert one == pytest.approx(other)
    assert one["rewards/accuracies"] == pytest.approx(0.75)


def test_a_policy_that_is_its_reference_has_no_reward_and_is_right_nowhere():
    metrics = preference_metrics(torch.zeros(10, dtype=torch.float64), said_of(GROUPS, make()), 0.1)
    assert metrics["rewards/margins"] == metrics["rewards/accuracies"] == metrics["rewards/chosen"] == 0
