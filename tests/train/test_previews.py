"""The counts and sample pairs that the pages show while a rule is chosen."""

import uuid

import pytest

from annotate.judging import Choice, Kind, best_of, record, tie
from projects.models import Prompt
from train import previews
from train.datasets import MIX, PRIME, NothingToTrainOn, current_dataset
from train.previews import preview
from train.recipes import RoundSettings
from train.rounds import launch_round
from train.rules import Rule


def say(person, comparison, choice):
    return record(person, comparison, choice, shown=[0, 1], client_key=str(uuid.uuid4()))


def test_it_counts_what_the_dataset_holds(project, judged):
    found = preview(project, Rule())
    assert (found.judged, found.comparisons, found.pairs, found.prompts) == (3, 3, 3, 3)
    assert (found.held_out, found.people, found.last_round, found.new) == (1, 1, None, 0)
    dataset = current_dataset(project)
    assert (found.pairs, found.held_out) == (dataset.train_pairs, dataset.held_out_pairs)


def test_it_says_where_the_others_went(project, judged, bob, dora):
    first, second, third = project.comparisons.filter(prompt__side=Prompt.Side.TRAIN).order_by("pk")
    say(bob, first, tie(2))
    say(bob, second, Choice(Kind.BOTH_BAD))
    say(bob, third, Choice(Kind.SKIPPED))
    found = preview(project, Rule())
    assert found.where_the_others_went() == [("skipped or flagged", 1), ("all answers bad", 1), ("ties", 1)]
    assert (found.judged, found.pairs, found.samples) == (3, 0, [])
    say(dora, third, best_of(0, 2))
    assert preview(project, Rule(overlap=2)).lost["overlap"] == 3


def test_new_pairs_are_those_since_the_last_round(project, policy, judged, dora):
    launch_round(project, policy, RoundSettings())
    say(dora, project.comparisons.order_by("pk")[0], best_of(0, 2))
    found = preview(project, Rule(overlap=1))
    assert (found.last_round, found.new) == (1, found.pairs - 2)
    assert preview(project, Rule(since="round")).judged == 1


def test_sample_pairs_are_drawn_by_a_seed(project, judged):
    found = preview(project, Rule(), draw=1)
    assert {sample.prompt for sample in found.samples} == {"One?", "Two?", "Three?"}
    assert {(sample.chosen, sample.rejected, sample.share) for sample in found.samples} == {("better", "worse", 1.0)}
    orders = [[sample.prompt for sample in preview(project, Rule(), draw=draw).samples] for draw in range(6)]
    assert orders == [[sample.prompt for sample in preview(project, Rule(), draw=draw).samples] for draw in range(6)]
    assert len(set(map(tuple, orders))) > 1


def test_of_very_many_every_so_manieth_prompt_is_looked_at(project, judged, monkeypatch):
    monkeypatch.setattr(previews, "MOST_READ", 2)
    found = preview(project, Rule())
    taken = [prompt for prompt in judged if prompt.pk * MIX % PRIME % 2 == 0]
    looked_at = [prompt for prompt in taken if prompt.side == Prompt.Side.TRAIN]
    assert (found.one_in, found.pairs, found.judged) == (2, 2 * len(looked_at), 2 * len(looked_at))


def test_without_a_round_there_is_nothing_to_count_from(project, judged):
    with pytest.raises(NothingToTrainOn, match="has no round yet"):
        preview(project, Rule(since="round"))


def test_the_work_does_not_grow_with_what_is_counted(project, judged, policy, django_assert_num_queries):
    # 1 newest revision, 2 last round, 3 how many revisions; for each of two parts the exclusions, a page of prompts,
    # what was said of their answers, and no more prompts; of the samples: 12 comparisons, 13 answers, 14 their texts
    with django_assert_num_queries(14):
        preview(project, Rule())
