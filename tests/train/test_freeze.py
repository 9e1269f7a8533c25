"""Freezing judgements into a dataset: which revisions count, what a line says, and that it can be done again."""

import hashlib
import json
import uuid

import pytest

from annotate.edits import Edit
from annotate.judging import Choice, best_of, read_ranking, record, take_back, tie
from annotate.models import Revision
from annotate.review import exclude
from annotate.review_forms import BEGINNING
from generation.models import Completion, Policy
from projects.models import Prompt
from tests.people import ask_people
from tests.threads import together
from train.datasets import (
    NothingToTrainOn,
    current_dataset,
    export,
    folder,
    freeze,
    numbered_dataset,
    pairs_in,
    part_file,
    trl_lines,
)
from train.recipes import RoundSettings
from train.rounds import launch_round
from train.rules import Rule

ANSWERS = ["short", "a bit longer", "the longest of them"]


@pytest.fixture
def comparison(project, add_prompts, sampled):
    """One comparison of three answers to a training prompt."""
    project.answers_per_comparison = 3
    project.save()
    ask_people(project, 3)
    prompt = next(prompt for prompt in add_prompts("Why is the sea salty?", "Name a tree.") if prompt.side == "train")
    (comparison,) = sampled({prompt: ANSWERS})
    return comparison


def slot_of(comparison, text):
    return comparison.answers.get(completion__text=text).number


def judge(person, comparison, choice):
    shown = list(range(comparison.slots))
    return record(person, comparison, choice, shown=shown, client_key=str(uuid.uuid4()))


def lines(dataset, part=Prompt.Side.TRAIN):
    return [json.loads(line) for line in part_file(dataset, part).read_text().splitlines()]


def test_it_works(project, comparison, bob):
    winner = slot_of(comparison, "short")
    revision = judge(bob, comparison, best_of(winner, 3))
    dataset = numbered_dataset(project)
    freeze(dataset)
    (group,) = lines(dataset)
    assert group["prompt"] == comparison.prompt.messages
    assert group["prompt_token_ids"] == [1, 2, 3]
    assert [answer["text"] for answer in group["completions"]] == [
        comparison.answers.get(number=number).completion.text for number in range(3)
    ]
    losers = [slot for slot in range(3) if slot != winner]
    assert group["rankings"] == [{"tiers": [[winner], losers], "unordered": [1], "weight": 1, "revision": revision.pk}]
    assert (dataset.train_groups, dataset.train_pairs, dataset.held_out_pairs) == (1, 2, 0)
    assert list(dataset.revisions.all()) == [revision]


def test_the_trainer_reads_what_is_frozen(project, comparison, bob):
    from train.engine.groups import count_votes, labelled_pairs, read_groups

    judge(bob, comparison, read_ranking("2>1=3", [0, 1, 2]))
    dataset = numbered_dataset(project)
    freeze(dataset)
    (group,) = read_groups(part_file(dataset, Prompt.Side.TRAIN))
    pairs = labelled_pairs(count_votes(group.rankings), count=False, half_ties=False)
    assert {(pair.first, pair.second, pair.label) for pair in pairs} == {(0, 1, 0.0), (1, 2, 1.0)}


def test_what_is_judged_later_is_not_in_it(project, comparison, bob, dora):
    judge(bob, comparison, best_of(0, 3))
    dataset = numbered_dataset(project)
    judge(dora, comparison, best_of(1, 3))
    judge(bob, comparison, best_of(2, 3))
    freeze(dataset)
    (group,) = lines(dataset)
    assert [ranking["tiers"][0] for ranking in group["rankings"]] == [[0]]


def test_only_the_last_revision_of_a_person_counts(project, comparison, bob, dora):
    judge(bob, comparison, best_of(0, 3))
    judge(bob, comparison, best_of(1, 3))
    judge(dora, comparison, best_of(2, 3))
    take_back(dora, project, "taken-back")
    dataset = numbered_dataset(project)
    freeze(dataset)
    (group,) = lines(dataset)
    assert [ranking["tiers"][0] for ranking in group["rankings"]] == [[1]]


def test_freezing_again_gives_the_same_bytes(project, comparison, bob):
    judge(bob, comparison, best_of(0, 3))
    dataset = numbered_dataset(project)
    freeze(dataset)
    before = part_file(dataset, "train").read_bytes()
    dataset.frozen_at = None
    freeze(dataset)
    assert part_file(dataset, "train").read_bytes() == before


@pytest.mark.parametrize(
    "choice", [Choice(Revision.Kind.BOTH_BAD), Choice(Revision.Kind.SKIPPED), tie(3)], ids=["bad", "skip", "tie"]
)
def test_without_a_pair_there_is_nothing_to_train_on(project, comparison, bob, choice):
    judge(bob, comparison, choice)
    with pytest.raises(NothingToTrainOn, match="has no preference pair to train on. Judge some answers"):
        numbered_dataset(project)
    assert not project.datasets.exists()


def test_held_out_prompts_go_to_their_own_part(project, comparison, bob):
    judge(bob, comparison, best_of(0, 3))
    Prompt.objects.filter(pk=comparison.prompt_id).update(side=Prompt.Side.HELD_OUT)
    with pytest.raises(NothingToTrainOn):
        numbered_dataset(project)


def test_a_dataset_is_made_anew_only_when_something_was_judged(project, comparison, bob, dora):
    judge(bob, comparison, best_of(0, 3))
    first = current_dataset(project)
    assert current_dataset(project) == first
    judge(dora, comparison, best_of(0, 3))
    assert current_dataset(project).number == 2


def test_what_does_not_count_makes_no_new_dataset(project, comparison, bob, dora):
    judge(bob, comparison, best_of(0, 3))
    first = current_dataset(project)
    judge(dora, comparison, Choice(Revision.Kind.SKIPPED))
    assert current_dataset(project) == first
    take_back(bob, project, "back")
    with pytest.raises(NothingToTrainOn):
        current_dataset(project)


def test_asked_for_by_many_at_once_it_is_one_dataset_in_whole_files(transactional_db, project, comparison, bob):
    judge(bob, comparison, best_of(0, 3))
    datasets = together(*[lambda: current_dataset(project)] * 6)
    assert len({dataset.pk for dataset in datasets}) == 1
    dataset = project.datasets.get()
    assert hashlib.sha256(part_file(dataset, Prompt.Side.TRAIN).read_bytes()).hexdigest() == dataset.train_sha256
    assert sorted(path.name for path in folder(dataset).iterdir()) == ["held_out.jsonl", "train.jsonl"]
    assert dataset.revisions.count() == 1


def test_the_export_is_trl_s_format(project, comparison, bob):
    winner = slot_of(comparison, "short")
    judge(bob, comparison, best_of(winner, 3))
    rows = [json.loads(line) for line in export(current_dataset(project), "train")]
    assert [row["chosen"] for row in rows] == [[{"role": "assistant", "content": "short"}]] * 2
    assert {row["rejected"][0]["content"] for row in rows} == {"a bit longer", "the longest of them"}
    assert all(row["prompt"] == comparison.prompt.messages for row in rows)
    assert set(rows[0]) == {"prompt", "chosen", "rejected"}


def test_a_rule_makes_the_file_and_the_export(project, comparison, bob, dora):
    judge(bob, comparison, read_ranking("1>2>3", [0, 1, 2]))
    judge(dora, comparison, read_ranking("1>3>2", [0, 1, 2]))
    rule = Rule(opinions="unanimous", expansion="best")
    dataset = current_dataset(project, rule=rule)
    (group,) = lines(dataset)
    assert group["rankings"] == [
        {"tiers": [[0], [1]], "unordered": [], "weight": 1},
        {"tiers": [[0], [2]], "unordered": [], "weight": 1},
    ]
    assert dataset.train_pairs == len(list(export(dataset, "train"))) == 2
    assert dataset.revisions.count() == 2
    assert current_dataset(project, rule=rule) == dataset
    assert current_dataset(project).number == 2  # another rule, another dataset


def test_what_a_rule_drops_makes_no_new_dataset(project, comparison, sampled, add_prompts, bob, dora):
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    (other,) = sampled({Prompt.objects.get(messages__0__content="Name a tree."): ANSWERS})
    judge(bob, comparison, best_of(0, 3))
    judge(bob, other, read_ranking("1=2=3", [0, 1, 2]))
    judge(dora, other, read_ranking("1=2=3", [0, 1, 2]))
    rule = Rule(opinions="unanimous", pairs_per_prompt=1)
    first = current_dataset(project, rule=rule)
    assert (first.train_groups, first.train_pairs, first.revisions.count()) == (1, 1, 1)
    assert current_dataset(project, rule=rule) == first


def test_a_rule_may_pair_the_answers_of_some_policies(project, comparison, policy, bob):
    judge(bob, comparison, best_of(0, 3))
    other = Policy.objects.create(name="Other", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64)
    slot = comparison.answers.get(number=2)
    Completion.objects.filter(pk=slot.completion_id).update(policy=other)
    dataset = current_dataset(project, rule=Rule(policies=(policy.pk,)))
    assert [pair[:2] for pair in pairs_in(lines(dataset)[0])] == [(0, 1)]
    with pytest.raises(NothingToTrainOn, match="by this rule: Answers of 1 policy. Choose a rule that takes more"):
        current_dataset(project, rule=Rule(policies=(other.pk,)))


def test_since_the_last_round_is_what_its_dataset_did_not_know(project, comparison, policy, bob, dora):
    judge(bob, comparison, best_of(0, 3))
    since = Rule(since="round")
    with pytest.raises(NothingToTrainOn, match="has no round yet to count from"):
        current_dataset(project, rule=since)
    launch_round(project, policy, RoundSettings())
    with pytest.raises(NothingToTrainOn, match="by this rule: Judged since the round before."):
        current_dataset(project, rule=since)
    judge(dora, comparison, best_of(1, 3))
    (group,) = lines(current_dataset(project, rule=since))
    assert [ranking["tiers"][0] for ranking in group["rankings"]] == [[1]]


def test_an_own_answer_is_one_more_completion_on_top_of_the_ranking(project, comparison, bob, dora, alice):
    best = slot_of(comparison, "short")
    losers = [slot for slot in range(3) if slot != best]
    judge(bob, comparison, best_of(best, 3, edit=Edit("shorter", best)))
    judge(dora, comparison, Choice(Revision.Kind.BOTH_BAD, edit=Edit("another thing", None)))
    judge(alice, comparison, read_ranking("2>1=3", [0, 1, 2]))
    dataset = numbered_dataset(project)
    freeze(dataset)
    (group,) = lines(dataset)
    assert [answer["text"] for answer in group["completions"][3:]] == ["shorter", "another thing"]
    assert [answer["token_ids"] for answer in group["completions"][3:]] == [None, None]
    assert [(ranking["tiers"], ranking["unordered"]) for ranking in group["rankings"]] == [
        ([[3], [best], losers], [2]),
        ([[4], [0, 1, 2]], [1]),
        ([[1], [0, 2]], []),
    ]
    assert dataset.revisions.count() == 3


def test_the_trainer_reads_an_own_answer(project, comparison, bob):
    from train.engine.groups import count_votes, labelled_pairs, read_groups

    judge(bob, comparison, best_of(0, 3, edit=Edit("mine", 0)))
    dataset = numbered_dataset(project)
    freeze(dataset)
    (group,) = read_groups(part_file(dataset, Prompt.Side.TRAIN))
    assert (group.completions[3].text, group.completions[3].token_ids) == ("mine", None)
    pairs = labelled_pairs(count_votes(group.rankings), count=False, half_ties=False)
    better = {(0, 1), (0, 2), (3, 0), (3, 1), (3, 2)}
    assert {(p.first, p.second) if p.label == 1 else (p.second, p.first) for p in pairs} == better


def test_trl_gets_an_own_answer_as_chosen(project, comparison, bob):
    judge(bob, comparison, Choice(Revision.Kind.BOTH_BAD, edit=Edit("mine", None)))
    rows = [json.loads(line) for line in export(current_dataset(project), "train")]
    assert {row["rejected"][0]["content"] for row in rows} == set(ANSWERS)
    assert [row["chosen"] for row in rows] == [[{"role": "assistant", "content": "mine"}]] * 3
    assert all(row["prompt"] == comparison.prompt.messages for row in rows)


def test_a_frozen_dataset_keeps_the_text_that_stood_then(project, comparison, bob):
    judge(bob, comparison, best_of(0, 3, edit=Edit("first try", 0)))
    dataset = numbered_dataset(project)
    judge(bob, comparison, best_of(0, 3, edit=Edit("second try", 0)))
    freeze(dataset)
    assert lines(dataset)[0]["completions"][3]["text"] == "first try"
    later = current_dataset(project)
    assert later.number == dataset.number + 1
    assert [answer["text"] for answer in lines(later)[0]["completions"][3:]] == ["second try"]


def test_an_own_answer_of_who_is_left_out_is_not_in_it(project, comparison, alice, bob, dora):
    judge(bob, comparison, best_of(0, 3, edit=Edit("mine", 0)))
    judge(dora, comparison, best_of(1, 3))
    exclude(project, bob, BEGINNING, alice)
    (group,) = lines(current_dataset(project))
    assert len(group["completions"]) == 3


@pytest.mark.parametrize(
    ("tiers", "pairs"),
    [
        ([[[0], [1]]], [(0, 1)]),
        ([[[0], [1]], [[0], [1]], [[1], [0]]], [(0, 1)]),
        ([[[0], [1]], [[1], [0]]], []),
        ([[[0, 1]]], []),
        ([[[2], [0, 1]]], [(2, 0), (2, 1)]),
    ],
    ids=["one", "majority", "even", "tie", "best of three"],
)
def test_the_majority_decides_a_pair(tiers, pairs):
    rankings = [{"tiers": ranking, "unordered": [], "weight": 1} for ranking in tiers]
    assert sorted(pair[:2] for pair in pairs_in({"rankings": rankings})) == sorted(pairs)


def test_trl_lines_keep_every_turn_and_every_character():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße “مرحبا” 🐑"}]
    group = {
        "prompt": messages,
        "completions": [{"text": "a\nb"}, {"text": "</script>"}],
        "rankings": [{"tiers": [[1], [0]], "unordered": [], "weight": 1}],
    }
    (line,) = trl_lines([json.dumps(group)])
    assert json.loads(line)["prompt"] == messages
    assert "Grüße" in line
