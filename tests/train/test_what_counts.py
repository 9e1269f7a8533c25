"""What a dataset holds when comparisons are settled and people are left out."""

import json
import uuid

import pytest

from annotate.judging import Choice, Kind, best_of, record
from annotate.review import exclude, lift, settle, unsettle
from annotate.review_forms import BEGINNING
from projects.models import Prompt
from tests.people import ask_people
from train.datasets import NothingToTrainOn, current_dataset, freeze, numbered_dataset, part_file
from train.rules import Rule


@pytest.fixture
def comparison(project, add_prompts, sampled):
    ask_people(project, 3)
    (prompt,) = add_prompts("Why is the sea salty?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    prompt.refresh_from_db()
    (made,) = sampled({prompt: ["one", "two"]})
    return made


def say(person, comparison, choice):
    return record(person, comparison, choice, shown=[0, 1], client_key=str(uuid.uuid4()))


def rankings(dataset) -> list[tuple[int, list]]:
    lines = part_file(dataset, "train").read_text().splitlines()
    return [(ranking["revision"], ranking["tiers"]) for line in lines for ranking in json.loads(line)["rankings"]]


def test_a_settlement_stands_alone(alice, bob, dora, project, comparison):
    say(bob, comparison, best_of(0, 2))
    say(dora, comparison, best_of(0, 2))
    settled = settle(comparison, best_of(1, 2), alice, [0, 1])
    assert rankings(current_dataset(project)) == [(settled.pk, [[1], [0]])]


def test_a_dataset_may_leave_settlements_aside(alice, bob, project, comparison):
    vote = say(bob, comparison, best_of(0, 2))
    settle(comparison, best_of(1, 2), alice, [0, 1])
    aside = current_dataset(project, rule=Rule(settlements="aside"))
    assert rankings(aside) == [(vote.pk, [[0], [1]])]
    won = current_dataset(project)
    assert (won.number, aside.number) == (2, 1)
    assert current_dataset(project, rule=Rule(settlements="aside")) == aside


def test_a_settlement_taken_back_later_stays_in_its_dataset(alice, bob, project, comparison):
    vote = say(bob, comparison, best_of(0, 2))
    settled = settle(comparison, best_of(1, 2), alice, [0, 1])
    dataset = numbered_dataset(project)
    unsettle(comparison, alice)
    freeze(dataset)
    assert rankings(dataset) == [(settled.pk, [[1], [0]])]
    assert rankings(current_dataset(project)) == [(vote.pk, [[0], [1]])]


def test_what_is_settled_as_bad_trains_nothing(alice, bob, project, comparison):
    say(bob, comparison, best_of(0, 2))
    settle(comparison, Choice(Kind.BOTH_BAD), alice, [0, 1])
    with pytest.raises(NothingToTrainOn):
        current_dataset(project)


def test_who_is_left_out_is_in_no_new_dataset(alice, bob, dora, project, comparison):
    say(bob, comparison, best_of(0, 2))
    hers = say(dora, comparison, best_of(1, 2))
    before = numbered_dataset(project)
    exclusion = exclude(project, bob, BEGINNING, alice)
    after = current_dataset(project)
    assert rankings(after) == [(hers.pk, [[1], [0]])]
    freeze(before)  # frozen only now, and yet as things stood when it was made
    assert len(rankings(before)) == 2
    lift(exclusion, alice)
    again = current_dataset(project)
    assert (again.number, len(rankings(again))) == (3, 2)
