"""Plackett and Luce's likelihood of rankings, by enumeration of orders."""

import math
from itertools import permutations, product

import pytest
import torch

from tests.engine.tiny import make_loss
from train.engine.config import LossConfig
from train.engine.errors import DataError
from train.engine.groups import Pair, Ranking
from train.engine.losses import plackett_luce_loss, sigmoid_loss
from train.engine.objective import loss_shares, preference_loss, preferences
from train.engine.tokens import Group, TokenSequence, check_tiers, informative

SCORES = [0.3, -1.2, 2.0, 0.9, -0.4]


def scores(values=SCORES):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def probability(order):
    """P(order) by the definition: of what is left, i is next with probability e^s_i / sum."""
    result, left = 1.0, list(order)
    for index in order:
        result *= math.exp(SCORES[index]) / sum(math.exp(SCORES[i]) for i in left)
        left.remove(index)
    return result


def orders(tiers):
    """All orders of all answers that agree with the tiers."""
    for parts in product(*(permutations(tier) for tier in tiers)):
        yield [index for part in parts for index in part]


def loss_of(tiers, unordered=()):
    return plackett_luce_loss(scores(), tiers, frozenset(unordered)).item()


def test_a_full_ranking():
    assert loss_of([[2], [3], [0], [4], [1]]) == pytest.approx(-math.log(probability([2, 3, 0, 4, 1])))


def test_best_of_k_is_a_softmax():
    expected = -torch.log_softmax(scores(), 0)[3].item()
    assert loss_of([[3], [0, 1, 2, 4]], unordered=[1]) == pytest.approx(expected)


def test_two_answers_are_dpo():
    z = torch.tensor(SCORES[0] - SCORES[1])
    assert loss_of([[0], [1]]) == pytest.approx(sigmoid_loss(z, 1.0).item(), abs=1e-6)


@pytest.mark.parametrize(
    "tiers", [[[3], [0, 2], [1, 4]], [[1, 4, 0], [2, 3]], [[0, 1, 2, 3], [4]], [[2], [3, 4, 0, 1]]]
)
def test_the_orders_of_unordered_tiers_are_summed(tiers):
    expected = -math.log(sum(map(probability, orders(tiers))))
    assert loss_of(tiers, unordered=range(len(tiers))) == pytest.approx(expected)


@pytest.mark.parametrize("tiers", [[[3], [0, 2], [1, 4]], [[0, 1, 2, 3], [4]], [[2, 0, 1, 3, 4]]])
def test_the_losses_of_the_orders_of_a_tie_are_averaged(tiers):
    losses = [-math.log(probability(order)) for order in orders(tiers)]
    assert loss_of(tiers) == pytest.approx(sum(losses) / len(losses))


def test_a_tie_of_two_is_half_a_vote_either_way():
    z = torch.tensor(SCORES[0] - SCORES[1])
    expected = (sigmoid_loss(z, 1.0) + sigmoid_loss(-z, 1.0)) / 2
    assert loss_of([[0, 1]]) == pytest.approx(expected.item(), abs=1e-6)


def test_ties_and_unordered_tiers_together():
    """Orders of the tie (0, 2) averaged; of the unordered (3, 1) before 4 summed."""
    mean = 0.0
    for tied in permutations([0, 2]):
        mean -= math.log(sum(probability([*tied, *others, 4]) for others in permutations([3, 1]))) / 2
    assert loss_of([[0, 2], [3, 1], [4]], unordered=[1]) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("tiers", "unordered"), [([[3], [0, 2], [1, 4]], [1]), ([[1, 0], [2, 3, 4]], [1]), ([[0, 1, 2], [3, 4]], [0, 1])]
)
def test_its_gradient(tiers, unordered):
    assert torch.autograd.gradcheck(lambda s: plackett_luce_loss(s, tiers, frozenset(unordered)), scores())


def test_large_scores_do_not_overflow():
    big = scores([1000.0, -1000.0, 0.0])
    assert plackett_luce_loss(big, [[0], [1, 2]], frozenset([1])).item() == pytest.approx(0)
    assert plackett_luce_loss(big, [[1, 2], [0]], frozenset([0])).item() == pytest.approx(3000 - math.log(2))


def test_only_the_ranked_answers_count():
    assert loss_of([[3], [0]]) == pytest.approx(-math.log(1 / (1 + math.exp(SCORES[0] - SCORES[3]))))


def test_where_ties_do_not_count_nothing_is_said_of_their_members():
    said = [Ranking(((0,), (1, 2))), Ranking(((0, 1),)), Ranking(((0, 1), (2,)), frozenset([0]))]
    assert [ranking.unordered for ranking in informative(said, half_ties=False)] == [{0, 1}, {0, 1}]
    assert informative(said, half_ties=True) == said


def test_a_tier_whose_orders_are_too_many_is_refused():
    many = tuple(range(13))
    with pytest.raises(DataError, match=r'f, line 3: a tier has 13 completions; with `loss.name` "plackett_luce"'):
        check_tiers([Ranking((many, (13,)), frozenset([0, 1]))], "f, line 3")
    check_tiers([Ranking(((13,), many), frozenset([0, 1]))], "f, line 3")


def group(rankings, answers):
    pairs = [Pair(0, 1, 1.0, 1.0)]
    return Group([TokenSequence([1], [2])] * answers, pairs, rankings, reference=[0.0] * answers)


@pytest.mark.parametrize(
    ("votes", "reduction", "weights"),
    [
        ("share", "pair", [1 / 8, 3 / 8, 1 / 2]),  # each group's rankings weigh together 1
        ("share", "group", [1 / 8, 3 / 8, 1 / 2]),
        ("count", "pair", [1 / 6, 3 / 6, 2 / 6]),  # each vote weighs 1
        ("count", "group", [1 / 8, 3 / 8, 1 / 2]),
    ],
)
def test_rankings_of_a_batch(votes, reduction, weights):
    first, second = Ranking(((0,), (1, 2)), frozenset([1])), Ranking(((2,), (1,), (0,)), weight=3.0)
    third = Ranking(((1,), (0,)), weight=2.0)
    groups = [group([first, second], 3), group([third], 2)]
    loss = LossConfig(**make_loss(name="plackett_luce", beta=0.5, votes=votes, reduction=reduction))
    rho = torch.tensor([1.0, -2.0, 0.5, 0.25, 3.0], dtype=torch.float64)
    found = preference_loss(rho, preferences(groups, loss_shares(groups, loss), torch.device("cpu")), loss)
    parts = [
        plackett_luce_loss(0.5 * rho[:3], first.tiers, first.unordered),
        plackett_luce_loss(0.5 * rho[:3], second.tiers, second.unordered),
        plackett_luce_loss(0.5 * rho[3:], third.tiers, third.unordered),
    ]
    assert found.item() == pytest.approx(sum(w * part.item() for w, part in zip(weights, parts, strict=True)))
