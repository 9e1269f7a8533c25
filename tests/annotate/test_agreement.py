"""Agreement, against published examples, by hand, and against the library that the closed forms stand for."""

from datetime import date

import numpy as np
import pytest

from annotate.agreement import (
    ALL_ALIKE,
    ONLY_TIES,
    agreement,
    alpha,
    both_orientations,
    by_two_people,
    by_week,
    count_values,
    kinds_of_meeting,
    meetings_of,
    nominal_alpha,
    ordinal_alpha,
    resample,
    share_by_chance,
)
from tests.annotate.saying import MONDAY, votes

_ = None
# Krippendorff 2011, sections C to E: four observers, twelve units.
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def table(observers, domain):
    """Return how many observers gave each value to each unit."""
    return np.array([[unit.count(value) for value in domain] for unit in zip(*observers, strict=True)])


def found(said, **options):
    said = votes(*said, **options)
    return agreement(meetings_of(said), count_values(said))


def alike(prompts, *, opposite=0, half=0, both_tied=0, start=0):
    """Return the votes of two people: so many prompts of each kind of meeting, the rest the same choice."""
    kinds = [(1, -1)] * opposite + [(1, 0)] * half + [(0, 0)] * both_tied
    kinds += [(1, 1)] * (prompts - len(kinds))
    return [(start + unit, person, kind[person]) for unit, kind in enumerate(kinds) for person in (0, 1)]


# ---- published examples


def test_binary_data_of_two_observers():
    """Krippendorff 2011, section A."""
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha(table([meg, owen], (0, 1)), "nominal", (0, 1)) == pytest.approx(0.095, abs=5e-4)


def test_nominal_data_of_two_observers():
    """Krippendorff 2011, section B."""
    ben, gerry = list("aabbdcccedda"), list("babbbcccedd" + "d")
    counts = table([ben, gerry], "abcde")
    assert alpha(counts, "nominal", (1, 2, 3, 4, 5)) == pytest.approx(0.692, abs=5e-4)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_any_number_of_observers_with_missing_data(level, published):
    """Krippendorff 2011, sections C, D and E."""
    counts = table(FOUR_OBSERVERS, (1, 2, 3, 4, 5))
    assert alpha(counts, level, (1, 2, 3, 4, 5)) == pytest.approx(published, abs=5e-4)


# ---- by hand


def test_choices_alone():
    """Two people, ten pairs, the same on eight: n = 40, so α = 1 − 39 · 8 / (20 · 40) = 0.61."""
    result = found(alike(10, opposite=2))
    assert (result.prompts, result.pairs, result.meetings) == (10, 10, 10)
    assert result.raw_agreement.value == 0.8
    assert result.expected_agreement == 0.5
    assert result.krippendorff_alpha.value == pytest.approx(0.61)
    assert result.krippendorff_alpha_nominal.value == pytest.approx(0.61)
    assert result.raw_agreement_without_ties.value == 0.8


def test_a_tie_is_a_smaller_difference_than_opposite_choices():
    """Ten pairs, a choice beside a tie on two: n = 40, c = 18, α = 1 − 39 · 2 / (18 · 40) = 0.8917.

    Nominal: 1 − 2 · 39 · 2 / (18 · (80 − 54)) = 2/3.
    """
    result = found(alike(10, half=2))
    assert result.krippendorff_alpha.value == pytest.approx(1 - 78 / 720)
    assert result.krippendorff_alpha_nominal.value == pytest.approx(2 / 3)
    assert result.raw_agreement.value == 0.8
    assert result.raw_agreement_without_ties.value == 1.0


def test_chance_follows_the_ties():
    """Of 20 answers 4 are ties: 0.8² / 2 + 0.2² = 0.36."""
    assert found(alike(10, half=2, both_tied=1)).expected_agreement == pytest.approx(0.36)
    assert share_by_chance(np.array([0, 0, 0, 5])) == 1.0


def test_a_pair_that_only_one_person_compared_is_no_meeting():
    result = found([*alike(10), (99, 0, 1), (98, 1, -1)])
    assert (result.prompts, result.pairs, result.meetings) == (10, 10, 10)


def test_three_people_on_a_pair_are_three_meetings_of_half_the_weight():
    met = meetings_of(votes((0, 7, 1), (0, 3, 1), (0, 5, -1), (1, 3, 0), (1, 5, 0)))
    assert sorted(zip(met.person, met.other, met.value, met.other_value, met.weight, strict=True)) == [
        (3, 5, 0, 0, 1.0),
        (3, 5, 1, -1, 0.5),
        (3, 7, 1, 1, 0.5),
        (5, 7, -1, 1, 0.5),
    ]


# ---- the closed forms are the library's


@pytest.mark.parametrize("seed", range(20))
def test_the_closed_forms_equal_the_library(seed):
    draw = np.random.default_rng(seed)
    said = [
        (unit, person, draw.integers(-1, 2))
        for unit in range(40)
        for person in draw.choice(6, draw.integers(1, 6), replace=False)
    ]
    said = votes(*said)
    met = meetings_of(said)
    kinds = (kinds_of_meeting(met) * met.weight[:, None]).sum(axis=0)
    turned = both_orientations(count_values(said))
    assert ordinal_alpha(kinds) == pytest.approx(alpha(turned, "ordinal"))
    assert ordinal_alpha(kinds) == pytest.approx(alpha(turned, "interval"))
    assert nominal_alpha(kinds) == pytest.approx(alpha(turned, "nominal"))


def test_nothing_depends_on_which_answer_is_the_one():
    draw = np.random.default_rng(5)
    said = [(unit, person, draw.choice([-1, -1, 0, 1])) for unit in range(30) for person in range(3)]
    turn = draw.choice([-1, 1], 30)
    turned = [(unit, person, value * turn[unit]) for unit, person, value in said]
    assert found(said) == found(turned)
    plain = [alpha(count_values(votes(*one)), "ordinal") for one in (said, turned)]
    assert plain[0] != pytest.approx(plain[1], abs=1e-3)  # without both orientations it would


# ---- intervals


def test_the_interval_is_that_of_a_share_of_independent_prompts():
    """400 prompts, 312 alike: 0.78 ± 1.96 · √(0.78 · 0.22 / 400) = 0.739 to 0.821."""
    raw = found(alike(400, opposite=88)).raw_agreement
    assert (raw.low, raw.high) == (pytest.approx(0.739, abs=0.006), pytest.approx(0.821, abs=0.006))


def test_pairs_of_one_prompt_are_drawn_together():
    """Ten pairs a prompt, all alike or all opposite, are worth one: the interval is √10 times as long."""
    said = [
        (prompt * 10 + pair, person, -1 if prompt < 10 and person else 1)
        for prompt in range(40)
        for pair in range(10)
        for person in (0, 1)
    ]
    apart = found(said).raw_agreement
    together = found(said, prompt=[unit // 10 for unit, *_rest in said]).raw_agreement
    assert apart.value == together.value == 0.75
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(10**0.5, rel=0.15)


def test_the_same_votes_give_the_same_interval():
    assert found(alike(50, opposite=9, half=3)) == found(alike(50, opposite=9, half=3))


def test_a_resample_has_as_many_prompts_as_there_are():
    sums = np.array([[1.0, 2.0], [1.0, 0.0], [1.0, 2.0]])
    drawn = resample(sums)
    assert drawn.shape == (1000, 2)
    assert set(drawn[:, 0]) == {3.0}
    assert set(drawn[:, 1]) == {0.0, 2.0, 4.0, 6.0}
    assert drawn[:, 1].mean() == pytest.approx(4.0, abs=0.1)


# ---- where there is no figure


def test_it_says_how_many_prompts_are_missing():
    result = found(alike(7))
    assert result.raw_agreement.value is None
    assert result.krippendorff_alpha.missing == "This needs 10 prompts. There are 7 so far: 3 more."
    assert found([]).raw_agreement.missing == "This needs 10 prompts. There are none so far: 10 more."


def test_full_agreement_has_a_value_and_no_interval():
    alpha_found = found(alike(12)).krippendorff_alpha
    assert (alpha_found.value, alpha_found.low, alpha_found.missing) == (1.0, None, ALL_ALIKE)


@pytest.mark.filterwarnings("error")
def test_ties_alone_have_no_alpha():
    result = found(alike(12, both_tied=12))
    assert (result.krippendorff_alpha.value, result.krippendorff_alpha.missing) == (None, ONLY_TIES)
    assert result.krippendorff_alpha_nominal.missing == ONLY_TIES
    assert result.raw_agreement_without_ties.missing == ONLY_TIES
    assert result.raw_agreement.value == 1.0


# ---- by two people, by week


def test_each_two_people_are_compared_on_what_both_judged():
    said = [(unit, person, 1) for unit in range(12) for person in (4, 2)]
    said += [(unit, 9, -1 if unit < 3 else 1) for unit in range(11)]
    compared = {(one, other): found for one, other, found in by_two_people(meetings_of(votes(*said)))}
    assert list(compared) == [(2, 4), (2, 9), (4, 9)]
    assert compared[2, 4].raw_agreement.value == 1.0
    assert compared[4, 9].pairs == 11
    assert compared[4, 9].raw_agreement.value == pytest.approx(8 / 11)
    assert compared[4, 9] == compared[2, 9]


def test_one_person_has_nobody_to_be_compared_with():
    assert list(by_two_people(meetings_of(votes((0, 1, 1), (1, 1, -1))))) == []


def test_each_week_has_its_own_figure():
    said = alike(10) + alike(10, opposite=5, start=10)
    said = votes(*said, week=[MONDAY] * 20 + [MONDAY + 7] * 20)
    weeks = dict(by_week(said, meetings_of(said)))
    assert list(weeks) == [date.fromordinal(MONDAY), date.fromordinal(MONDAY + 7)]
    assert [week.raw_agreement.value for week in weeks.values()] == [1.0, 0.5]
    # The second alone: n = 40, so 1 − 39 · 20 / (20 · 40).
    assert [week.krippendorff_alpha.value for week in weeks.values()] == [1.0, pytest.approx(0.025)]
    assert [week.pairs for week in weeks.values()] == [10, 10]
