"""How often one policy's answers are preferred to another's. Imports numpy: only what computes figures imports this.

Comparisons of one prompt hang together, so every interval is clustered by prompt. A tie counts half a win to each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotate.estimates import CONFIDENCE, FEWEST_PROMPTS, Estimate, too_few

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEWEST_CLUSTERS = 30  # with fewer prompts a regression's cluster-robust interval is too short (Cameron & Miller 2015)


@dataclass(frozen=True)
class Ranking:
    """Policies by the Bradley–Terry model: P(one beats another) = σ(its strength − the other's).

    Strengths are log-odds against the first policy, whose own is 0 and has no interval.
    """

    policies: list[int]
    strengths: list[Estimate]
    missing: str = ""


def win_rate(prompt: Ints, score: Floats) -> Estimate:
    """Return the mean score with its 95% interval. `score` is 1, ½ or 0, shape (n,), as is `prompt`.

    Wilson's interval, with as many independent comparisons as would vary as much as the prompts do (Kish's design
    effect), and Student's t for the number of prompts. Of a win or a loss everywhere each prompt counts once.
    """
    prompts, at = np.unique(prompt, return_inverse=True)
    if missing := too_few(len(prompts)):
        return Estimate(missing=missing)
    rate = float(score.mean())
    low, high = _wilson(rate, _worth(rate, at, score), len(prompts) - 1)
    return Estimate(rate, low, high)


def _worth(rate: float, cluster: Ints, score: Floats) -> float:
    """Return how many independent wins and losses vary as much as these scores of clusters, numbered from 0."""
    clusters, n = int(cluster.max()) + 1, len(score)
    residual = np.bincount(cluster, score - rate)
    variance = clusters / (clusters - 1) * float((residual**2).sum()) / n**2
    return rate * (1 - rate) / variance if variance > 0 and 0 < rate < 1 else float(clusters)


def _wilson(rate: float, n: float, freedom: int) -> tuple[float, float]:
    from scipy.stats import t

    z = float(t.ppf((1 + CONFIDENCE) / 2, freedom))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2))
    return max(0.0, middle - half), min(1.0, middle + half)


def win_rate_at_equal_length(prompt: Ints, score: Floats, length_ratio: Floats) -> Estimate:
    """Return the win rate where both answers were equally long: σ(a) of P(win) = σ(a + b · length_ratio).

    `length_ratio` is log₂ of the characters of the one's answer over the other's, shape (n,).
    """
    prompts, at = np.unique(prompt, return_inverse=True)
    if missing := too_few(len(prompts), FEWEST_CLUSTERS) or _separated(score, length_ratio):
        return Estimate(missing=missing)
    fitted, error = _fit(np.stack([np.ones(len(score)), length_ratio], axis=1), score, at)
    return in_shares(_interval(fitted[0], error[0]))


def _separated(score: Floats, length_ratio: Floats) -> str:
    """Return why the pull of length cannot be told, or nothing."""
    won, lost = length_ratio[score > 0], length_ratio[score < 1]  # a tie is both
    if not len(won) or not len(lost):
        return "One policy won every comparison, so length tells nothing."
    if np.ptp(length_ratio) == 0:
        return "The answers do not differ in length."
    if won.min() >= lost.max() or won.max() <= lost.min():
        return "Length alone tells every choice, so its pull has no upper bound."
    return ""


def bradley_terry(prompt: Ints, first: Ints, second: Ints, score: Floats) -> Ranking:
    """Fit the Bradley–Terry model to comparisons of two policies each. All of shape (n,).

    It is the logistic regression of the score on which policies met (Agresti 2002, section 10.6), a tie counting as
    half a win to each, with a covariance that is robust to clusters (prompts).
    """
    policies, players = np.unique(np.concatenate([first, second]), return_inverse=True)
    known = [int(policy) for policy in policies]
    prompts, at = np.unique(prompt, return_inverse=True)
    one, other = players.reshape(2, -1)
    if missing := too_few(len(prompts), FEWEST_PROMPTS) or _unbounded(one, other, score, len(known)):
        return Ranking(known, [], missing)
    terms = np.zeros((len(score), len(known)))
    terms[np.arange(len(score)), one] += 1
    terms[np.arange(len(score)), other] -= 1
    fitted, error = _fit(terms[:, 1:], score, at)
    return Ranking(known, [Estimate(0.0), *map(_interval, fitted, error)])


def _unbounded(one: Ints, other: Ints, score: Floats, policies: int) -> str:
    """Return why some strength would be without bounds, or nothing.

    Ford 1957: all strengths are finite where, however the policies are parted in two groups, somebody of each group has
    beaten somebody of the other. That is, where the graph of who beat whom is strongly connected.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    won, lost = score > 0, score < 1  # a tie is both
    winners, losers = np.concatenate([one[won], other[lost]]), np.concatenate([other[won], one[lost]])
    graph = coo_array((np.ones(len(winners)), (winners, losers)), shape=(policies, policies))
    if connected_components(graph, connection="weak")[0] > 1:
        return "Not all policies have met, not even by way of others. A blind A/B between them would link them."
    if connected_components(graph, connection="strong")[0] > 1:
        return "Some policies won every comparison with the others, so their lead has no upper bound yet."
    return ""


def _fit(terms: Floats, score: Floats, cluster: Ints) -> tuple[Floats, Floats]:
    """Return the coefficients of a logistic regression and their standard errors, robust to clusters."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    fitted = GLM(score, terms, family=Binomial()).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    return np.asarray(fitted.params), np.asarray(fitted.bse)


def _interval(log_odds: float, error: float) -> Estimate:
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    return Estimate(float(log_odds), float(log_odds - z * error), float(log_odds + z * error))


def in_shares(log_odds: Estimate) -> Estimate:
    """Return the shares of wins that log-odds stand for."""
    ends = (log_odds.value, log_odds.low, log_odds.high)
    value, low, high = (None if end is None else float(1 / (1 + np.exp(-end))) for end in ends)
    return Estimate(value, low, high, log_odds.missing)
