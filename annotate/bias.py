"""What else sways a choice: the place of an answer and its length. Imports numpy and statsmodels, as few others do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotate.estimates import CONFIDENCE, Estimate, too_few
from annotate.votes import Floats, Ints, Votes

FEWEST_CLUSTERS = 30  # with fewer prompts than this a cluster-robust interval is too short (Cameron & Miller 2015)
Z = 1.959963984540054  # of the standard normal distribution, for 95%


@dataclass(frozen=True)
class LengthSway:
    """P(the answer shown first wins) = σ(intercept + slope · log₂(its length / the other's)), in characters."""

    pairs: int
    prompts: int
    twice_as_long_wins: Estimate  # both shown first equally often
    first_wins_at_equal_length: Estimate
    intercept: Estimate  # log-odds
    slope: Estimate  # log-odds for each doubling of the length


def first_shown_wins(prompt: Ints, first_wins: Ints) -> Estimate:
    """Return how often the answer shown first wins, of the pairs of which one was chosen.

    Wilson's interval, with the pairs counted for what they are worth where those of one prompt go together
    (Kish's design effect: the variance between prompts over that of as many independent pairs; never less than 1).
    """
    from statsmodels.stats.proportion import proportion_confint

    prompt, won = prompt[first_wins != 0], first_wins[first_wins != 0] == 1
    prompts, at = np.unique(prompt, return_inverse=True)
    if missing := too_few(len(prompts)):
        return Estimate(missing=missing)
    share, worth = float(won.mean()), len(won) / design_effect(at, won)
    low, high = proportion_confint(share * worth, worth, alpha=1 - CONFIDENCE, method="wilson")
    return Estimate(share, float(low), float(high))


def design_effect(cluster: Ints, won: NDArray[np.bool_]) -> float:
    """Return by how much clusters, numbered from 0, raise the variance of a share; at least 1."""
    share, pairs = won.mean(), len(won)
    if share in (0, 1):
        return 1.0
    size, wins = np.bincount(cluster), np.bincount(cluster, won)
    between = len(size) / (len(size) - 1) * ((wins - share * size) ** 2).sum() / pairs**2
    return max(1.0, float(between / (share * (1 - share) / pairs)))


def length_sway(votes: Votes) -> LengthSway:
    """Fit the logistic regression, with a covariance that is robust to clusters (prompts)."""
    chosen = votes[votes.first_wins != 0]
    won = chosen.first_wins == 1
    prompts, at = np.unique(chosen.prompt, return_inverse=True)
    if missing := _not_estimable(len(prompts), won, chosen.length_ratio):
        none = Estimate(missing=missing)
        return LengthSway(len(won), len(prompts), none, none, none, none)
    (intercept, slope), covariance = _fit(won, chosen.length_ratio, at)
    # An answer twice as long, averaged over its being shown first and second.
    as_first, as_second = _sigmoid(intercept + slope), _sigmoid(slope - intercept)
    twice = (as_first + as_second) / 2
    tilt_first, tilt_second = as_first * (1 - as_first), as_second * (1 - as_second)
    # The delta method, on the scale of log-odds: the interval stays between 0 and 1.
    gradient = np.array([tilt_first - tilt_second, tilt_first + tilt_second]) / 2 / (twice * (1 - twice))
    return LengthSway(
        pairs=len(won),
        prompts=len(prompts),
        twice_as_long_wins=_share(np.log(twice / (1 - twice)), float(np.sqrt(gradient @ covariance @ gradient))),
        first_wins_at_equal_length=_share(intercept, np.sqrt(covariance[0, 0])),
        intercept=_log_odds(intercept, np.sqrt(covariance[0, 0])),
        slope=_log_odds(slope, np.sqrt(covariance[1, 1])),
    )


def _not_estimable(prompts: int, won: NDArray[np.bool_], ratio: Floats) -> str:
    """Return why no regression can be fitted, or nothing."""
    if missing := too_few(prompts, FEWEST_CLUSTERS):
        return missing
    if won.all() or not won.any():
        return "Always the same side won, first or second. This needs pairs that went the other way."
    if np.ptp(ratio) == 0:
        return "The answers do not differ in length. This needs pairs of different lengths."
    if ratio[won].min() >= ratio[~won].max() or ratio[won].max() <= ratio[~won].min():
        return "Length alone tells every choice so far, so its pull has no upper bound. This needs pairs that differ."
    return ""


def _fit(won: NDArray[np.bool_], ratio: Floats, cluster: Ints) -> tuple[Floats, Floats]:
    from statsmodels.discrete.discrete_model import Logit

    terms = np.stack([np.ones(len(won)), ratio], axis=1)
    model = Logit(won.astype(float), terms)
    fitted = model.fit(disp=0, warn_convergence=False, cov_type="cluster", cov_kwds={"groups": cluster})
    return np.asarray(fitted.params), np.asarray(fitted.cov_params())


def _sigmoid(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _share(log_odds: float, error: float) -> Estimate:
    return Estimate(_sigmoid(log_odds), _sigmoid(log_odds - Z * error), _sigmoid(log_odds + Z * error))


def _log_odds(value: float, error: float) -> Estimate:
    return Estimate(float(value), float(value - Z * error), float(value + Z * error))
