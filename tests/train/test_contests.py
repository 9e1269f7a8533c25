"""Blind A/Bs: from two policies' answers to comparisons that nobody can tell from others."""

import pytest

from annotate.comparisons import apply_overlap
from annotate.judging import best_of, record
from annotate.models import Comparison, PreferencePair
from annotate.queue import left_for, next_lease
from generation.models import Completion
from jobs.models import Job
from projects.models import Project
from train.contests import ContestError, pair_up, stop_contest
from train.datasets import NothingToTrainOn, current_dataset
from train.models import Contest


def share(project) -> int:
    return Project.objects.get(pk=project.pk).evaluation_percent


def progress(contest) -> tuple[int, int, int]:
    found = Contest.objects.with_progress().get(pk=contest.pk)
    return found.answered, found.same, found.waiting


def test_it_works(project, policy, rival, held_out, start, answered):
    prompts = held_out(12)
    contest = start(size=8, percent=25)
    assert contest.sampling.total == 16
    assert (contest.sampling.n, share(project)) == (1, 25)
    answered(contest)
    assert progress(contest) == (8, 0, 8)
    for pairing in contest.pairings.select_related("comparison", "first_answer", "second_answer"):
        asked = pairing.comparison
        assert (asked.purpose, asked.slots, asked.wanted, asked.prompt in prompts) == ("evaluation", 2, 1, True)
        assert (pairing.first_answer.policy, pairing.second_answer.policy) == (rival, policy)
        slots = dict(asked.answers.values_list("number", "completion"))
        assert set(slots) == {0, 1}
        assert set(slots.values()) == {pairing.first_answer_id, pairing.second_answer_id}


def test_nothing_is_to_judge_before_both_have_answered(held_out, start, answered):
    held_out(4)
    contest = answered(start(size=4))
    half = contest.sampling.items.first()
    contest.pairings.all().delete()
    contest.sampling.items.exclude(pk=half.pk).update(status="pending")
    pair_up(half)
    assert not contest.pairings.exists()


def test_where_prompts_are_few_each_is_asked_as_often_as_it_takes(held_out, start, answered):
    held_out(4)
    contest = answered(start(size=10))
    assert contest.sampling.n == 3
    prompts = contest.pairings.values_list("first_answer__prompt", flat=True)
    assert sorted(list(prompts).count(prompt) for prompt in set(prompts)) == [2, 2, 3, 3]


def test_the_seed_draws_the_prompts(held_out, start):
    held_out(12)
    asked = [set(start(size=4, seed=seed).sampling.items.values_list("prompt", flat=True)) for seed in (1, 1, 2)]
    assert asked[0] == asked[1] != asked[2]


def test_the_slots_do_not_follow_the_policies(rival, held_out, start, answered):
    held_out(12)
    contest = answered(start(size=12))
    slots = contest.pairings.filter(comparison__answers__completion__policy=rival)
    assert set(slots.values_list("comparison__answers__number", flat=True)) == {0, 1}


def test_answers_that_read_the_same_are_a_tie_by_themselves(held_out, start, answered):
    held_out(6)
    contest = answered(start(size=12), lambda item, index: " Yes.\n" if index else item.policy.name)
    assert progress(contest) == (12, 6, 6)
    assert Comparison.objects.count() == 6


def test_a_prompt_that_was_refused_makes_no_pair(held_out, start, answered):
    prompts = held_out(6)
    assert progress(answered(start(size=6), refused=[prompts[0].pk])) == (5, 0, 5)


def test_one_policy_cannot_meet_itself(policy, held_out, start):
    held_out(4)
    with pytest.raises(ContestError, match="got “Tiny base” twice"):
        start(first=policy)
    assert not Contest.objects.exists()


def test_it_needs_held_out_prompts(project, start):
    with pytest.raises(ContestError, match="No prompt of this project is held out"):
        start()


def test_at_temperature_0_a_prompt_is_asked_once(held_out, start):
    held_out(4)
    assert start(size=4, temperature=0.0).sampling.n == 1
    with pytest.raises(ContestError, match=r"4 held-out prompts give 4 comparisons at most \(got 5\)"):
        start(size=5, temperature=0.0)


def test_prompts_are_not_asked_without_end(held_out, start):
    held_out(4)
    with pytest.raises(ContestError, match=r"at most 256 comparisons, 64 each \(got 257\)"):
        start(size=257)


def test_once_all_is_judged_it_has_ended(bob, project, held_out, start, answered):
    held_out(4)
    contest = answered(start(size=4))
    while lease := next_lease(bob, project):
        assert not Contest.objects.ended().exists()
        record(bob, lease.comparison, best_of(0, 2), shown=lease.shown, client_key=f"key {lease.pk}")
    assert progress(contest) == (4, 0, 0)
    assert Contest.objects.ended().get() == contest
    assert not Contest.objects.under_way().exists()


def test_the_share_is_that_of_what_is_under_way(bob, project, held_out, start, answered):
    held_out(4)
    first = start(size=4, percent=30)
    start(size=4, percent=20)
    assert share(project) == 50
    answered(first, lambda item, index: "The same.")
    start(size=4, percent=5)
    assert share(project) == 25


def test_stopping_takes_what_is_open_out_of_the_queue(alice, bob, project, held_out, start, answered):
    held_out(4)
    contest = answered(start(size=4))
    lease = next_lease(bob, project)
    record(bob, lease.comparison, best_of(0, 2), shown=lease.shown, client_key="key")
    stop_contest(contest, alice)
    assert (left_for(bob, project), share(project)) == (0, 0)
    assert PreferencePair.objects.current().count() == 1
    assert Contest.objects.ended().get().stopped_by == alice


def test_stopping_again_changes_nothing(alice, bob, held_out, start):
    held_out(4)
    contest = start(size=4)
    stop_contest(contest, alice)
    stop_contest(contest, bob)
    contest.refresh_from_db()
    assert contest.stopped_by == alice


def test_stopping_ends_the_sampling_and_late_answers_make_nothing(alice, held_out, start, answered):
    held_out(4)
    contest = answered(start(size=4))
    contest.pairings.all().delete()
    Job.objects.update(status=Job.Status.QUEUED)
    stop_contest(contest, alice)
    assert Job.objects.get(pk=contest.sampling_id).status == Job.Status.CANCELLED
    pair_up(contest.sampling.items.first())
    assert not contest.pairings.exists()


def test_another_overlap_leaves_it_alone(alice, project, held_out, start, answered):
    held_out(4)
    contest = answered(start(size=4))
    project.overlap = 3
    project.save(update_fields=["overlap"])
    apply_overlap(project)
    assert set(Comparison.objects.values_list("wanted", flat=True)) == {1}
    stop_contest(contest, alice)
    apply_overlap(project)
    assert set(Comparison.objects.values_list("wanted", flat=True)) == {0}


def test_it_trains_nothing(bob, project, held_out, start, answered):
    prompts = held_out(4)
    answered(start(size=4))
    lease = next_lease(bob, project)
    record(bob, lease.comparison, best_of(0, 2), shown=lease.shown, client_key="key")
    for side in ("held_out", "train"):  # not even if the side were lost
        type(prompts[0]).objects.update(side=side)
        with pytest.raises(NothingToTrainOn):
            current_dataset(project)
    assert Completion.objects.count() == 8
