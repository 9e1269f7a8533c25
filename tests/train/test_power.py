"""The sizes that the power table promises find a true difference as often as it says."""

import numpy as np
import pytest

from tests.train.duels import drawn_scores
from train.power import POWERS, WIN_RATES, power_table, sample_size
from train.winrates import win_rate

PLENTY = 10_000  # prompts: each comparison has its own


def test_it_is_the_usual_formula():
    """(1.959964 · √(0.215 · 0.25 / 0.24) + 0.841621 · √0.215)² / 0.1² + 1.959964² / 2 = 173.65 + 1.92 = 175.57."""
    assert sample_size(0.6, 0.8, PLENTY) == 176


def test_a_win_rate_below_even_needs_as_many():
    assert sample_size(0.4, 0.8, PLENTY) == sample_size(0.6, 0.8, PLENTY)


def test_fewer_prompts_need_more_comparisons():
    """176 on 100 prompts: n / (1 + (n / 100 − 1) · 0.2) = 175.57 has the solution 216.5."""
    assert sample_size(0.6, 0.8, 100) == 217


def test_where_prompts_are_too_few_no_number_is_enough():
    assert sample_size(0.55, 0.8, 100) is None
    assert sample_size(0.7, 0.8, 0) is None


@pytest.mark.parametrize("rate", [0.5, 0.02, 0.98])
def test_other_win_rates_are_refused(rate):
    with pytest.raises(ValueError, match="lies between 5% and 95% and is not 50% itself"):
        sample_size(rate, 0.8, PLENTY)


def test_the_table_has_a_row_for_each_win_rate():
    table = power_table(PLENTY)
    assert [row.win_rate for row in table] == list(WIN_RATES)
    assert all(one.sizes[0] > next.sizes[0] for one, next in zip(table, table[1:], strict=False))


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize(("rate", "each"), [(0.6, 1), (0.6, 3), (0.7, 1)])
def test_so_many_comparisons_have_the_power(rate, each, power):
    """Of 800 draws, give or take three standard errors: the interval leaves out 50% as often as the table says."""
    prompts = next(n for n in range(10, PLENTY) if (size := sample_size(rate, power, n)) and size <= n * each)
    draw = np.random.default_rng(5)
    found = [win_rate(*drawn_scores(draw, prompts, each, rate)) for _ in range(800)]
    shown = np.mean([one.low > 0.5 for one in found])
    assert shown == pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / 800) + 0.015)
