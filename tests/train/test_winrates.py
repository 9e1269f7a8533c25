"""Win rates and the Bradley–Terry ranking: intervals cover the truth at their rate, and published tables come out."""

import math

import numpy as np
import pytest

from tests.train.duels import drawn_scores
from train.winrates import bradley_terry, in_shares, win_rate, win_rate_at_equal_length

# Wins of each team over each of the others, American League 1987: Agresti 2002, Categorical Data Analysis, table 10.10.
BASEBALL = {
    "Baltimore": {"Cleveland": 7, "Boston": 1, "New York": 3, "Toronto": 1, "Detroit": 4, "Milwaukee": 2},
    "Cleveland": {"Baltimore": 6, "Boston": 6, "New York": 6, "Toronto": 5, "Detroit": 4, "Milwaukee": 4},
    "Boston": {"Baltimore": 12, "Cleveland": 7, "New York": 7, "Toronto": 6, "Detroit": 2, "Milwaukee": 6},
    "New York": {"Baltimore": 10, "Cleveland": 7, "Boston": 6, "Toronto": 6, "Detroit": 8, "Milwaukee": 6},
    "Toronto": {"Baltimore": 12, "Cleveland": 8, "Boston": 7, "New York": 7, "Detroit": 6, "Milwaukee": 4},
    "Detroit": {"Baltimore": 9, "Cleveland": 9, "Boston": 11, "New York": 5, "Toronto": 7, "Milwaukee": 6},
    "Milwaukee": {"Baltimore": 11, "Cleveland": 9, "Boston": 7, "New York": 7, "Toronto": 9, "Detroit": 7},
}
# Without a home advantage: log-odds against Baltimore and their standard errors, as R's BradleyTerry2 has them
# (Turner & Firth 2012, Journal of Statistical Software 48(9)).
BASEBALL_FITTED = {
    "Cleveland": (0.6839, 0.3319),
    "Boston": (1.1077, 0.3339),
    "New York": (1.2476, 0.3359),
    "Toronto": (1.2945, 0.3367),
    "Detroit": (1.4364, 0.3396),
    "Milwaukee": (1.5814, 0.3433),
}
# Citations between journals of statistics (Stigler 1994), Biometrika first: the same paper of Turner & Firth.
CITED = {"Biometrika": (730, 498, 221), "Comm": (33, 68, 17), "JASA": (320, 813, 142), "JRSSB": (284, 276, 325)}
CITED_FITTED = {"Comm": (-2.94907, 0.10255), "JASA": (-0.47957, 0.06059), "JRSSB": (0.26895, 0.07083)}


def ranked(wins):
    """Rank by a table of wins, each game a prompt of its own."""
    names = list(wins)
    games = [(names.index(one), names.index(other)) for one in wins for other, n in wins[one].items() for _ in range(n)]
    first, second = np.array(games).T
    return bradley_terry(np.arange(len(games)), first, second, np.ones(len(games)))


def check_published(ranking, names, published, digits):
    for number, name in enumerate(names):
        if name in published:
            value, error = published[name]
            found = ranking.strengths[number]
            assert round(found.value, digits) == value
            # The published errors are the model's own; those here are robust to clusters, so they agree roughly.
            assert (found.high - found.low) / 2 / 1.96 == pytest.approx(error, rel=0.05)


def test_bradley_terry_gives_agrestis_baseball_table():
    check_published(ranked(BASEBALL), BASEBALL, BASEBALL_FITTED, 4)


def test_bradley_terry_gives_the_journals_table():
    wins = {one: dict(zip([n for n in CITED if n != one], counts, strict=True)) for one, counts in CITED.items()}
    check_published(ranked(wins), CITED, CITED_FITTED, 5)


def test_the_first_policy_is_what_others_are_measured_against():
    ranking = ranked(BASEBALL)
    assert (ranking.policies, ranking.strengths[0].value) == ([0, 1, 2, 3, 4, 5, 6], 0.0)
    assert not ranking.strengths[0].has_interval


def test_of_two_policies_the_ranking_is_the_win_rate():
    """7 wins, 6 ties and 7 losses less one: σ of the strength is the mean score, (7 + 3) / 19."""
    score = np.array([1.0] * 7 + [0.5] * 6 + [0.0] * 6)
    ranking = bradley_terry(np.arange(19), np.full(19, 8), np.full(19, 3), score)
    assert ranking.policies == [3, 8]
    assert in_shares(ranking.strengths[1]).value == pytest.approx(10 / 19)


@pytest.mark.parametrize("ties", [0, 1])
def test_a_policy_that_never_lost_has_no_strength_until_it_does(ties):
    prompt = np.arange(20)
    score = np.array([1.0] * (20 - ties) + [0.5] * ties)
    ranking = bradley_terry(prompt, np.full(20, 1), np.full(20, 2), score)
    if ties:
        assert ranking.strengths[1].value == pytest.approx(-math.log(39))
    else:
        assert ranking.strengths == []
        assert "won every comparison" in ranking.missing


def test_policies_that_never_met_are_not_ranked():
    prompt, even = np.arange(20), np.tile([0.0, 1.0], 10)
    ranking = bradley_terry(prompt, np.repeat([1, 3], 10), np.repeat([2, 4], 10), even)
    assert ranking.strengths == []
    assert "Not all policies have met" in ranking.missing


@pytest.mark.parametrize(("prompts", "each", "rate"), [(20, 3, 0.6), (100, 2, 0.55), (190, 1, 0.6), (60, 1, 0.9)])
def test_the_interval_covers_the_true_win_rate(prompts, each, rate):
    """In 95% of 1,000 draws, give or take what 1,000 draws tell (three standard errors are 2.1 points)."""
    draw = np.random.default_rng(20261121)
    found = [win_rate(*drawn_scores(draw, prompts, each, rate)) for _ in range(1000)]
    covered = np.mean([one.low <= rate <= one.high for one in found])
    assert 0.929 <= covered <= 0.975


def test_comparisons_of_one_prompt_widen_the_interval():
    score = np.tile([1.0, 1.0, 1.0, 0.0], 20)
    apart = win_rate(np.arange(80), np.sort(score))
    together = win_rate(np.repeat(np.arange(20), 4), np.sort(score))
    assert together.value == apart.value == 0.75
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_a_win_everywhere_leaves_an_interval_with_room():
    found = win_rate(np.repeat(np.arange(30), 4), np.ones(120))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(30 / (30 + 2.0452**2), abs=1e-3)  # Wilson's, of 30 prompts, t with 29 degrees


def test_few_prompts_give_no_figure():
    assert "needs 10 prompts" in win_rate(np.arange(9), np.ones(9)).missing


def test_at_equal_length_what_length_did_is_gone():
    """The longer answer wins by σ(log₂ of the ratio); the first policy writes four times as much, and is no better."""
    draw = np.random.default_rng(7)
    ratio = draw.normal(2.0, 1.0, 4000)
    score = (draw.random(4000) < 1 / (1 + np.exp(-ratio))).astype(float)
    found = win_rate_at_equal_length(np.arange(4000), score, ratio)
    assert score.mean() > 0.8
    assert found.low < 0.5 < found.high
    assert found.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("score", "ratio", "missing"),
    [
        (np.ones(40), np.arange(40.0), "won every comparison"),
        (np.tile([0.0, 1.0], 20), np.zeros(40), "do not differ in length"),
        (np.repeat([0.0, 1.0], 20), np.arange(40.0), "Length alone"),
    ],
)
def test_where_length_cannot_be_told_apart_a_sentence_says_so(score, ratio, missing):
    assert missing in win_rate_at_equal_length(np.arange(40), score, ratio).missing
