"""What sways a choice: against a published example, closed forms and data of known making."""

import numpy as np
import pytest

from annotate.bias import design_effect, first_shown_wins, length_sway
from tests.annotate.saying import votes

pytestmark = pytest.mark.filterwarnings("error")


def regression(won, ratio, prompt=None):
    """Return the sway of length in pairs of which the first shown won where `won` is 1; else −1."""
    said = [(unit, 0, 1) for unit in range(len(won))]
    return length_sway(votes(*said, first_wins=won, length_ratio=ratio, prompt=prompt))


def two_lengths(wins_of_longer_first, wins_of_shorter_first, pairs=100):
    """Return outcomes and ratios of so many pairs with the first twice, and as many with it half, as long."""
    counts = (wins_of_longer_first, wins_of_shorter_first)
    won = np.concatenate([np.repeat([1, -1], [wins, pairs - wins]) for wins in counts])
    return won, np.repeat([1.0, -1.0], pairs)


# ---- the first shown


def test_wilsons_interval_of_a_published_example():
    """Newcombe 1998, table I: 81 of 263 has the score interval 0.2553 to 0.3662."""
    found = first_shown_wins(np.arange(263), np.repeat([1, -1], [81, 182]))
    assert found.value == 81 / 263
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=3e-4), pytest.approx(0.3662, abs=3e-4))


def test_ties_are_no_choice():
    assert first_shown_wins(np.arange(20), np.array([1] * 6 + [-1] * 6 + [0] * 8)).value == 0.5


def test_one_side_always_winning_has_an_interval():
    found = first_shown_wins(np.arange(20), np.ones(20, np.int64))
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.8 < found.low < 0.9


def test_pairs_that_go_together_count_for_less():
    """40 prompts of 3 pairs that always go together are worth 40 pairs, times 39/40."""
    won = np.repeat([1, -1] * 20, 3)
    together, apart = first_shown_wins(np.repeat(np.arange(40), 3), won), first_shown_wins(np.arange(120), won)
    assert design_effect(np.repeat(np.arange(40), 3), won == 1) == pytest.approx(3 * 40 / 39)
    assert together.high - together.low > 1.6 * (apart.high - apart.low)


def test_pairs_that_balance_each_other_count_no_more_than_they_are():
    assert design_effect(np.repeat(np.arange(40), 2), np.tile([True, False], 40)) == 1.0


def test_the_first_shown_needs_prompts():
    assert first_shown_wins(np.arange(1), np.ones(1, np.int64)).missing == (
        "This needs 10 prompts. There is 1 so far: 9 more."
    )


# ---- length


def test_a_regression_on_two_lengths_has_a_closed_form():
    """The first won 70 of 100 when twice as long and 40 of 100 when half as long: (0.7 + 0.6) / 2 = 0.65."""
    found = regression(*two_lengths(70, 40))
    log_odds = [np.log(7 / 3), np.log(4 / 6)]
    assert found.intercept.value == pytest.approx(sum(log_odds) / 2)
    assert found.slope.value == pytest.approx((log_odds[0] - log_odds[1]) / 2)
    assert found.twice_as_long_wins.value == pytest.approx(0.65)
    assert found.first_wins_at_equal_length.value == pytest.approx(1 / (1 + np.exp(-sum(log_odds) / 2)))
    # var(logit p) = 1 / (n p q); the library's correction for 200 clusters is 200/199 · 199/198.
    error = np.sqrt((1 / 21 + 1 / 24) / 4 * 200 / 198)
    assert found.slope.high - found.slope.value == pytest.approx(1.96 * error, rel=1e-3)


def test_the_interval_of_twice_as_long_follows_the_delta_method():
    """The mean of two independent shares has the variance (0.7 · 0.3 + 0.6 · 0.4) / 100 / 4."""
    found = regression(*two_lengths(70, 40)).twice_as_long_wins
    error = np.sqrt((0.21 + 0.24) / 400 * 200 / 198) / (0.65 * 0.35)  # on the scale of log-odds
    centre = np.log(0.65 / 0.35)
    assert found.low == pytest.approx(1 / (1 + np.exp(-(centre - 1.96 * error))), rel=1e-4)
    assert found.high == pytest.approx(1 / (1 + np.exp(-(centre + 1.96 * error))), rel=1e-4)


def test_what_a_simulation_put_in_is_within_the_interval():
    draw = np.random.default_rng(3)
    ratio = draw.normal(0, 1, 3000)
    won = np.where(draw.random(3000) < 1 / (1 + np.exp(-(0.2 + 0.5 * ratio))), 1, -1)
    found = regression(won, ratio)
    assert found.slope.low < 0.5 < found.slope.high
    assert found.intercept.low < 0.2 < found.intercept.high
    assert found.twice_as_long_wins.value == pytest.approx(0.62, abs=0.02)


def test_pairs_of_one_prompt_lengthen_the_interval():
    won, ratio = (np.repeat(one, 4) for one in two_lengths(70, 40))
    apart, together = regression(won, ratio), regression(won, ratio, np.repeat(np.arange(200), 4))
    assert apart.slope.value == pytest.approx(together.slope.value)
    wide, narrow = (found.slope.high - found.slope.low for found in (together, apart))
    assert wide / narrow == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("won", "ratio", "missing"),
    [
        ([1, -1] * 5, [0.5, -0.2] * 5, "This needs 30 prompts. There are 10 so far: 20 more."),
        ([], [], "This needs 30 prompts. There are none so far: 30 more."),
        ([1] * 40, [0.5, -0.2] * 20, "Always the same side won"),
        ([-1] * 40, [0.5, -0.2] * 20, "Always the same side won"),
        ([0] * 40, [0.5, -0.2] * 20, "This needs 30 prompts. There are none"),
        ([1, -1] * 20, [0.0] * 40, "The answers do not differ in length."),
        ([1, -1] * 20, [0.5, -0.2] * 20, "Length alone tells every choice"),
        ([-1, 1] * 20, [0.5, -0.2] * 20, "Length alone tells every choice"),
        ([1, 1, -1, -1] * 10, [0.5, 0.0, 0.0, -0.2] * 10, "Length alone tells every choice"),
    ],
)
def test_where_no_regression_can_be_fitted_it_says_why(won, ratio, missing):
    found = regression(won, ratio)
    assert found.twice_as_long_wins.value is None
    assert found.slope.missing.startswith(missing)
