"""What is counted, from the database."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db.models.functions import Now
from django.utils import timezone

from annotate.judging import Choice, Kind, best_of, tie
from annotate.models import Comparison, Exclusion, Judgement, Revision
from annotate.votes import monday, pairs_said, read_judgements, votes_of
from generation.models import Completion
from tests.annotate.saying import say


def read(project):
    judgements, left_out = read_judgements(project)
    return votes_of(project, judgements), left_out


def exclude(project, person, by, since):
    return Exclusion.objects.create(project=project, person=person, since=since, created_by=by)


# ---- rankings


def test_a_ranking_says_something_of_each_pair():
    """1 over 0 = 2: of (0, 1) the second is better, (0, 2) tie, (1, 2) the first."""
    assert pairs_said(((1,), (0, 2)), ()).tolist() == [[0, 1, -1], [0, 2, 0], [1, 2, 1]]


def test_the_best_of_four_says_nothing_of_the_losers():
    choice = best_of(2, 4)
    assert pairs_said(choice.tiers, choice.unordered).tolist() == [[0, 2, -1], [1, 2, -1], [2, 3, 1]]


def test_a_tie_is_said_of_each_pair():
    assert pairs_said(tie(3).tiers, ()).tolist() == [[0, 1, 0], [0, 2, 0], [1, 2, 0]]


def test_a_week_begins_on_monday():
    sunday = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
    assert monday(sunday) == datetime(2026, 11, 16).toordinal()
    assert monday(sunday + timedelta(minutes=1)) == datetime(2026, 11, 23).toordinal()


# ---- what is read


def test_it_works(project, bob, dora, comparisons):
    first, second = comparisons(2)
    say(bob, first, best_of(1, 2), shown=[1, 0])
    say(dora, first, best_of(1, 2), shown=[0, 1])
    say(bob, second, tie(2))
    votes, left_out = read(project)
    assert left_out == 0
    assert votes.value.tolist() == [-1, -1, 0]
    assert votes.first_wins.tolist() == [1, -1, 0]
    assert votes.person.tolist() == [bob.pk, dora.pk, bob.pk]
    assert votes.prompt.tolist() == [first.prompt_id, first.prompt_id, second.prompt_id]
    assert votes.unit[0] == votes.unit[1] != votes.unit[2]
    assert set(votes.week) == {monday(timezone.now())}


def test_pairs_of_a_ranking_are_units_of_their_own(project, bob, dora, comparisons):
    [comparison] = comparisons(1, answers=4)
    say(bob, comparison, best_of(0, 4), shown=[3, 0, 1, 2])
    say(dora, comparison, Choice(Kind.RANKED, ((3,), (0, 1), (2,))), shown=[2, 1, 0, 3])
    votes, _ = read(project)
    assert len(votes.unit) == 3 + 6
    assert len(np.unique(votes.unit)) == 6
    assert votes.first_wins[:3].tolist() == [1, 1, -1]  # 0 over 1 and 2, shown later; over 3, shown before


def test_lengths_are_those_of_the_answers_as_they_were_shown(project, bob, add_prompts, sampled):
    [prompt] = add_prompts("How?")
    [comparison] = sampled({prompt: ["x" * 40, "y" * 10]})
    long = comparison.answers.get(completion__text="x" * 40).number
    say(bob, comparison, best_of(long, 2), shown=[1 - long, long])
    votes, _ = read(project)
    assert votes.length_ratio.tolist() == [pytest.approx(-2)]  # shown first: a quarter as long
    assert votes.first_wins.tolist() == [-1]


def test_the_first_of_the_answers_that_read_the_same_gives_the_length(project, bob, add_prompts, sampled):
    [prompt] = add_prompts("How?")
    [comparison] = sampled({prompt: ["ab", "ab  ", "wxyz"]})
    short = comparison.answers.get(completion__text="ab").number
    say(bob, comparison, best_of(short, 2), shown=[short, 1 - short])
    assert read(project)[0].length_ratio.tolist() == [pytest.approx(-1)]


def test_an_answer_without_a_character_has_a_length(project, bob, comparisons):
    [comparison] = comparisons()
    say(bob, comparison, best_of(0, 2))
    Completion.objects.update(text="")
    assert read(project)[0].length_ratio.tolist() == [0.0]


@pytest.mark.parametrize("kind", [Kind.BOTH_BAD, Kind.SKIPPED, Kind.FLAGGED])
def test_what_is_no_ranking_is_read_and_no_vote(project, bob, comparisons, kind):
    say(bob, comparisons()[0], Choice(kind))
    judgements, _ = read_judgements(project)
    assert [one.kind for one in judgements] == [kind]
    assert len(votes_of(project, judgements).unit) == 0


def test_only_what_stands_counts(project, bob, comparisons):
    first, second = comparisons(2)
    say(bob, first, best_of(0, 2))
    say(bob, first, best_of(1, 2))
    say(bob, second, best_of(0, 2))
    say(bob, second, Choice(Kind.WITHDRAWN))
    judgements, _ = read_judgements(project)
    assert [one.tiers for one in judgements] == [[[1], [0]]]


@pytest.mark.parametrize(
    ("purpose", "counted"), [("train", 1), ("evaluation", 1), ("gold", 0), ("repeat", 0), ("practice", 0)]
)
def test_only_what_is_judged_for_its_own_sake_counts(project, bob, comparisons, purpose, counted):
    [comparison] = comparisons()
    say(bob, comparison, best_of(0, 2))
    Comparison.objects.update(purpose=purpose)
    assert len(read(project)[0].unit) == counted


def test_a_settlement_is_no_vote(project, alice, bob, comparisons):
    [comparison] = comparisons()
    say(bob, comparison, best_of(0, 2))
    said = Revision.objects.get()
    settlement = Judgement.objects.create(comparison=comparison, person=alice, settles=True)
    said.pk, said.judgement, said.person, said.client_key = None, settlement, alice, "settled"
    said.save()
    Judgement.objects.filter(pk=settlement.pk).update(current=said)
    assert read(project)[0].person.tolist() == [bob.pk]


def test_other_projects_are_not_counted(project, bob, comparisons):
    say(bob, comparisons()[0], best_of(0, 2))
    other = type(project).objects.create(name="Other", slug="other")
    assert read(other)[0].unit.tolist() == []


# ---- excluded people


def test_excluded_judgements_are_left_out_and_counted(project, alice, bob, dora, comparisons):
    first, second = comparisons(2)
    say(bob, first, best_of(0, 2))
    say(bob, second, best_of(0, 2))
    say(dora, second, best_of(0, 2))
    row = exclude(project, bob, alice, timezone.now() - timedelta(hours=1))
    votes, left_out = read(project)
    assert (votes.person.tolist(), left_out) == ([dora.pk], 2)
    Exclusion.objects.filter(pk=row.pk).update(lifted_at=Now())
    votes, left_out = read(project)
    assert (len(votes.person), left_out) == (3, 0)


def test_an_exclusion_begins_at_its_moment(project, alice, bob, comparisons):
    first, second = comparisons(2)
    early, late = say(bob, first, best_of(0, 2)), say(bob, second, best_of(1, 2))
    moment = timezone.now() - timedelta(days=1)
    Revision.objects.filter(pk=early.pk).update(submitted_at=moment - timedelta(seconds=1))
    Revision.objects.filter(pk=late.pk).update(submitted_at=moment)
    exclude(project, bob, alice, moment)
    votes, left_out = read(project)
    assert (votes.value.tolist(), left_out) == ([1], 1)


def test_everybody_excluded_leaves_nothing(project, alice, bob, comparisons):
    say(bob, comparisons()[0], best_of(0, 2))
    exclude(project, bob, alice, timezone.now() - timedelta(hours=1))
    votes, left_out = read(project)
    assert (len(votes.unit), left_out) == (0, 1)


def test_reading_takes_three_queries(project, bob, dora, comparisons, django_assert_num_queries):
    for comparison in comparisons(3):
        say(bob, comparison, best_of(0, 2))
        say(dora, comparison, best_of(1, 2))
    with django_assert_num_queries(3):  # exclusions, judgements, lengths
        read(project)
