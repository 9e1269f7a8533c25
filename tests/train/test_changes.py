"""How stale a dataset is: the comparisons in which it holds something else than people say now."""

import uuid

import pytest

from annotate.judging import best_of, record, take_back
from annotate.review import exclude, lift, settle
from annotate.review_forms import BEGINNING
from train.changes import changes_since
from train.datasets import current_dataset
from train.rules import Rule


def say(person, comparison, choice):
    return record(person, comparison, choice, shown=[0, 1], client_key=str(uuid.uuid4()))


@pytest.fixture
def comparisons(project, judged):
    return list(project.comparisons.order_by("pk"))


def changes(project, dataset):
    return changes_since(project, [dataset])[dataset.pk]


def test_what_is_said_anew_is_a_change(project, comparisons, bob):
    dataset = current_dataset(project)
    assert changes(project, dataset) == 0
    say(bob, comparisons[0], best_of(0, 2))
    say(bob, comparisons[1], best_of(0, 2))
    assert changes(project, dataset) == 2
    take_back(bob, project, "back")
    assert changes(project, dataset) == 2
    assert changes(project, current_dataset(project)) == 0


def test_what_others_judge_later_is_none(project, comparisons, dora):
    dataset = current_dataset(project)
    say(dora, comparisons[0], best_of(0, 2))
    say(dora, comparisons[0], best_of(1, 2))
    assert changes(project, dataset) == 0


def test_a_settlement_is_a_change_unless_the_rule_leaves_it_aside(project, comparisons, alice):
    dataset, aside = current_dataset(project), current_dataset(project, rule=Rule(settlements="aside"))
    settle(comparisons[0], best_of(1, 2), alice, [0, 1])
    assert (changes(project, dataset), changes(project, aside)) == (1, 0)


def test_who_is_left_out_or_let_in_again_is_a_change(project, comparisons, alice, bob, dora):
    say(dora, comparisons[0], best_of(0, 2))
    before = current_dataset(project)
    exclusion = exclude(project, bob, BEGINNING, alice)
    assert changes(project, before) == len(comparisons)
    without = current_dataset(project)
    assert changes(project, without) == 0
    lift(exclusion, alice)
    assert changes_since(project, [before, without]) == {before.pk: 0, without.pk: len(comparisons)}


def test_a_list_of_datasets_takes_as_many_queries_as_one(project, comparisons, bob, django_assert_num_queries):
    first = current_dataset(project)
    say(bob, comparisons[0], best_of(0, 2))
    datasets = [first, current_dataset(project)]
    for some in (datasets[:1], datasets):
        with django_assert_num_queries(4):  # exclusions; where something was said anew; all said there; newest
            changes_since(project, some)
