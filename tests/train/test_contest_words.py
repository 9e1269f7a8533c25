"""The finding of a blind A/B in a sentence, the bar and the scale."""

from types import SimpleNamespace

import pytest

from annotate.estimates import Estimate
from train.contest_words import finding_of, intervals

EQUAL = Estimate(0.551, 0.476, 0.623)


def outcome(rate: Estimate, equal: Estimate = EQUAL, wins=98, ties=20, same=6, losses=66):
    return SimpleNamespace(rate=rate, rate_at_equal_length=equal, wins=wins, ties=ties, same=same, losses=losses)


CONTEST = SimpleNamespace(first="Round 3", second="Round 2")


def test_it_works():
    found = finding_of(CONTEST, outcome(Estimate(0.584, 0.513, 0.652)))
    assert found.title == "Round 3 is better."
    assert found.sentence == "It wins 58.4% (95% interval 51.3 to 65.2, ties count half)."
    assert found.length == (
        "Some of that may be length. With length held equal it wins 55.1% (47.6 to 62.3), and even is within it."
    )
    assert [(part.kind, part.x, part.width) for part in found.bar] == [
        ("win", "0%", "51.58%"),
        ("tie", "51.58%", "13.68%"),
        ("loss", "65.26%", "34.74%"),
    ]
    assert found.counts == "98 wins, 26 ties, 66 losses of Round 3"


def test_where_the_other_is_better_the_rates_are_its_own():
    found = finding_of(CONTEST, outcome(Estimate(0.4, 0.35, 0.45), Estimate(0.42, 0.36, 0.48)))
    assert found.title == "Round 2 is better."
    assert found.sentence == "It wins 60.0% (95% interval 55.0 to 65.0, ties count half)."
    assert found.length == "With length held equal it wins 58.0% (52.0 to 64.0)."


@pytest.mark.parametrize("rate", [Estimate(0.55, 0.5, 0.6), Estimate(0.45, 0.4, 0.5)])
def test_an_interval_with_even_in_it_shows_nothing(rate):
    found = finding_of(CONTEST, outcome(rate))
    assert found.title == "No difference is shown."
    assert found.sentence.startswith(f"Round 3 wins {100 * rate.value:.1f}% (95% interval ")
    assert found.sentence.endswith("ties count half): even is within it.")


def test_what_is_missing_is_said():
    few = Estimate(missing="This needs 10 prompts.")
    found = finding_of(CONTEST, outcome(few, few, wins=0, ties=0, same=0, losses=0))
    assert (found.title, found.sentence, found.length) == ("No result.", "This needs 10 prompts.", "")
    assert (found.bar, found.scale) == ([], None)


def test_where_length_cannot_be_told_apart_the_sentence_says_why():
    found = finding_of(CONTEST, outcome(Estimate(0.584, 0.513, 0.652), Estimate(missing="This needs 30 prompts.")))
    assert found.length == "What length does cannot be told. This needs 30 prompts."
    assert [row.label for row in found.scale.rows] == ["as judged"]


@pytest.mark.parametrize(
    ("rate", "labels"),
    [
        (Estimate(0.584, 0.513, 0.652), ["50%", "60%", "70%"]),
        (Estimate(0.5, 0.41, 0.59), ["40%", "50%", "60%"]),
        (Estimate(0.9, 0.7, 0.97), ["50%", "75%", "100%"]),
        (Estimate(0.3, 0.1, 0.6), ["0%", "25%", "50%", "75%"]),
        (Estimate(0.5), ["40%", "50%", "60%"]),
    ],
)
def test_the_scale_has_round_ends_and_even(rate, labels):
    chart = intervals("", [("one", rate)])
    assert [tick.label for tick in chart.ticks] == labels
    assert [tick.even for tick in chart.ticks] == [label == "50%" for label in labels]


def test_points_lie_where_their_shares_are():
    (row,) = intervals("", [("one", Estimate(0.6, 0.5, 0.7))]).rows
    assert (row.low, row.x, row.high) == ("6%", "50%", "94%")
