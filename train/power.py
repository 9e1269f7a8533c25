"""How many comparisons a blind A/B needs. Plain arithmetic: no Django and no library here.

The test is that of `train.winrates.win_rate`: the 95% interval of the win rate, ties counted half, leaves out 50%.
Its size is chosen before the first judgement, and the result is read once, when all are in (a fixed sample size).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

ALPHA = 0.05  # two-sided
POWERS = (0.8, 0.9)
WIN_RATES = (0.55, 0.6, 0.65, 0.7)
TIES = 0.1  # assumed share of ties
CORRELATION = 0.2  # assumed, between two comparisons of one prompt: Kish's design effect is 1 + (m − 1) · this


@dataclass(frozen=True)
class PowerRow:
    """How many comparisons tell a win rate from 50%, by power; None where these prompts cannot tell it."""

    win_rate: float
    sizes: list[int | None]  # one for each of POWERS


def power_table(prompts: int) -> list[PowerRow]:
    """Return the table for as many held-out prompts as there are."""
    return [PowerRow(rate, [sample_size(rate, power, prompts) for power in POWERS]) for rate in WIN_RATES]


def sample_size(
    win_rate: float, power: float, prompts: int, *, ties: float = TIES, correlation: float = CORRELATION
) -> int | None:
    """Return how many comparisons show a true win rate with this probability, or None where no number does.

    A comparison scores 1, ½ or 0, with variance w(1 − w) − t/4 where w is the win rate and t the share of ties. By
    Wilson's interval 50% is left out by the variance that there would be at 50%, greater by ¼ / w(1 − w); Student's t
    asks for z²/2 more (Guenther 1981). Where there are more comparisons than prompts, m = n / prompts of them share a
    prompt and say less than independent ones.

    Raises:
        ValueError: the win rate is 50%, or leaves no room for so many ties.
    """
    if win_rate == 0.5 or not ties / 2 <= win_rate <= 1 - ties / 2:
        raise ValueError(
            f"A win rate to be told from 50%, with {ties:.0%} ties, lies between {ties / 2:.0%} and {1 - ties / 2:.0%} "
            f"and is not 50% itself (got {win_rate:.0%})."
        )
    if prompts < 1:
        return None
    spread = win_rate * (1 - win_rate)
    error = math.sqrt(spread - ties / 4)
    error_at_even = error * math.sqrt(0.25 / spread)
    significant, powerful = NormalDist().inv_cdf(1 - ALPHA / 2), NormalDist().inv_cdf(power)
    independent = ((significant * error_at_even + powerful * error) / (win_rate - 0.5)) ** 2 + significant**2 / 2
    if independent <= prompts:
        return math.ceil(independent)
    # n / (1 + (n / prompts − 1) · correlation) = independent, solved for n.
    left = 1 - correlation * independent / prompts
    return math.ceil(independent * (1 - correlation) / left) if left > 0 else None
