"""What comes of a blind A/B, from judgements to the interval."""

import itertools

import numpy as np
import pytest

from annotate.judging import Choice, Kind, best_of, record, tie
from annotate.models import Comparison
from annotate.review import exclude, settle, unsettle
from annotate.review_forms import BEGINNING
from generation.models import Policy
from train.contest_results import outcomes, rank_policies
from train.contests import stop_contest

keys = itertools.count()


@pytest.fixture
def contest(held_out, start, answered):
    held_out(12)
    return answered(start(size=12))


def slots(pairing) -> tuple[int, int]:
    """The slots of the first policy's answer and of the second's."""
    answers = pairing.comparison.answers
    return tuple(answers.get(completion=one).number for one in (pairing.first_answer, pairing.second_answer))


def judge(person, pairing, outcome: str) -> None:
    first, second = slots(pairing)
    choices = {"win": best_of(first, 2), "loss": best_of(second, 2), "tie": tie(2), "bad": Choice(Kind.BOTH_BAD)}
    choice = choices.get(outcome) or Choice(Kind(outcome))
    record(person, pairing.comparison, choice, shown=[0, 1], client_key=f"key {next(keys)}")


def judge_all(person, contest, *said: str) -> None:
    for pairing, outcome in zip(contest.pairings.exclude(comparison=None).order_by("pk"), said, strict=False):
        judge(person, pairing, outcome)


def counts(contest) -> tuple[int, int, int, int]:
    found = outcomes([contest])[contest.pk]
    return found.wins, found.ties, found.same, found.losses


def test_it_works(bob, dora, contest):
    judge_all(bob, contest, *["win"] * 6, *["tie"] * 2, "bad", *["loss"] * 2)
    judge(dora, contest.pairings.order_by("pk").last(), "loss")
    found = outcomes([contest])[contest.pk]
    assert counts(contest) == (6, 3, 0, 3)
    assert (found.comparisons, found.people, found.prompts) == (12, 2, 12)
    assert found.rate.value == (6 + 3 / 2) / 12
    assert 0 < found.rate.low < found.rate.value < found.rate.high < 1


def test_what_says_nothing_does_not_count(bob, contest):
    judge_all(bob, contest, "win", "skipped", "flagged")
    assert counts(contest) == (1, 0, 0, 0)


def test_a_judgement_that_was_changed_counts_as_it_stands(bob, contest):
    pairing = contest.pairings.first()
    judge(bob, pairing, "win")
    judge(bob, pairing, "loss")
    assert counts(contest) == (0, 0, 0, 1)
    judge(bob, pairing, "withdrawn")
    assert counts(contest) == (0, 0, 0, 0)


def test_a_settlement_wins_over_the_votes(alice, bob, dora, contest):
    pairing = contest.pairings.first()
    judge(bob, pairing, "win")
    judge(dora, pairing, "win")
    settle(pairing.comparison, best_of(slots(pairing)[1], 2), alice, [0, 1])
    assert counts(contest) == (0, 0, 0, 1)
    unsettle(pairing.comparison, alice)
    assert counts(contest) == (2, 0, 0, 0)


def test_who_is_left_out_does_not_count(alice, bob, dora, project, contest):
    first, second = contest.pairings.order_by("pk")[:2]
    judge(bob, first, "win")
    judge(dora, second, "loss")
    exclude(project, bob, BEGINNING, alice)
    assert counts(contest) == (0, 0, 0, 1)


def test_of_a_contest_that_was_stopped_as_large_a_part_of_ties_by_themselves_counts(
    alice, bob, held_out, start, answered
):
    """Half of the prompts' answers are the same; of the other six two are judged, and so 2 of the 6 ties count."""
    prompts = held_out(12)
    alike = {prompt.pk for prompt in prompts[:6]}
    contest = start(size=12)
    answered(contest, lambda item, _: "The same." if item.prompt_id in alike else item.policy.name)
    judge_all(bob, contest, "win", "loss")
    stop_contest(contest, alice)
    assert counts(contest) == (1, 0, 2, 1)


def test_length_is_told_apart(bob, held_out, start, answered, rival):
    """The first policy writes more, and wins the more the longer it is: at equal length it is no better."""
    held_out(40)
    contest = start(size=120)
    lengths = dict(zip(range(200), np.random.default_rng(2).integers(1, 5, 200).tolist(), strict=True))

    def text(item, index):
        return "word " * (4 * lengths[item.position] if item.policy == rival else 4) + f"{item.policy} {index}"

    answered(contest, text)
    draw = np.random.default_rng(1)
    for pairing in contest.pairings.select_related("first_answer", "second_answer", "comparison"):
        ratio = np.log2(len(pairing.first_answer.text) / len(pairing.second_answer.text))
        judge(bob, pairing, "win" if draw.random() < 1 / (1 + np.exp(-1.2 * ratio)) else "loss")
    found = outcomes([contest])[contest.pk]
    assert found.rate.low > 0.55
    assert found.rate_at_equal_length.low < 0.5 < found.rate_at_equal_length.high


def test_policies_are_ranked_over_all_contests(alice, bob, project, policy, rival, held_out, start, answered):
    """Each beats the one before in 8 of 12: they are ranked though the last has not met the first."""
    held_out(12)
    latest = Policy.objects.create(name="Round 2", path="x", fingerprint="d" * 64, project=project)
    for first, second in ((rival, policy), (latest, rival)):
        contest = answered(start(size=12, first=first, second=second))
        judge_all(bob, contest, *["win"] * 8, *["loss"] * 4)
    ranking, judgements = rank_policies(project)
    assert (ranking.policies, judgements) == ([policy.pk, rival.pk, latest.pk], 24)
    strengths = [one.value for one in ranking.strengths]
    assert strengths == pytest.approx([0, np.log(2), np.log(4)])


def test_what_is_under_way_is_not_ranked(bob, project, contest):
    judge_all(bob, contest, *["win"] * 8, *["loss"] * 3)
    assert rank_policies(project)[1] == 0
    judge(bob, contest.pairings.order_by("pk").last(), "tie")
    assert rank_policies(project)[1] == 12


def test_nothing_judged_is_no_result(project, contest):
    assert counts(contest) == (0, 0, 0, 0)
    assert "needs 10 prompts" in outcomes([contest])[contest.pk].rate.missing
    assert rank_policies(project)[0].strengths == []


def test_queries(django_assert_num_queries, bob, held_out, start, answered):
    held_out(12)
    contests = [answered(start(size=12)) for _ in range(3)]
    judge_all(bob, contests[0], "win", "tie")
    # 1 what people say, 2 the pairings
    with django_assert_num_queries(2):
        assert len(outcomes(contests)) == 3
    assert Comparison.objects.count() == 36
