"""The next sensible step of a project's loop, case by case. No database."""

from dataclasses import replace

import pytest

from generation.models import Policy, SamplingJob
from jobs.models import Job
from projects.models import Project, PromptImport
from train.models import Round
from web.home import ENOUGH_PAIRS, Loop, next_step

PLAIN = Project(slug="plain", held_out_percent=10, overlap=1)
BASE = Policy(name="Tiny base")
SAMPLED = Loop(PLAIN, prompts=40, answers=160, policy=BASE)  # every prompt, and nothing judged

IMPORTING = PromptImport(pk=5, project=PLAIN, status=Job.Status.RUNNING)
SAMPLING = SamplingJob(pk=6, project=PLAIN, status=Job.Status.RUNNING, progress=63, total=100)
TRAINING = Round(pk=7, project=PLAIN, number=3, status=Job.Status.RUNNING)


def good_round(number: int) -> Round:
    return Round(project=PLAIN, number=number, status=Job.Status.SUCCEEDED)


def step(loop: Loop, **changes: object) -> tuple[str, str, str]:
    found = next_step(replace(loop, **changes))
    return found.title, found.label, found.href


def test_a_project_without_prompts_begins_with_an_import():
    assert step(Loop(PLAIN)) == ("Start with prompts", "Import prompts", "/p/plain/prompts/")
    assert "10% of them are kept out of training" in next_step(Loop(PLAIN)).text


def test_a_first_import_under_way_is_watched():
    expected = ("Prompts are on their way in", "See the import", "/p/plain/prompts/")
    assert step(Loop(PLAIN, jobs=[IMPORTING])) == expected


def test_prompts_that_nobody_sampled_are_sampled():
    loop = Loop(PLAIN, prompts=40, unsampled=40)
    assert step(loop) == ("40 prompts to sample", "Sample 40 prompts", "/p/plain/sampling/")
    assert next_step(loop).text.startswith("A model answers each of them")


def test_one_is_one():
    assert step(Loop(PLAIN, prompts=1, unsampled=1))[1] == "Sample 1 prompt"
    assert step(SAMPLED, to_judge=1, open_comparisons=1)[0] == "1 comparison to judge"


def test_waiting_comparisons_are_judged():
    loop = replace(SAMPLED, to_judge=32, open_comparisons=32, new_pairs=5, pairs=5)
    assert step(loop) == ("32 comparisons to judge", "Judge answers", "/p/plain/judge/")
    assert next_step(loop).text == "Say which answers are better. After 15 more pairs round 1 is worth its time."


def test_judging_comes_before_watching_the_sampling():
    loop = replace(SAMPLED, to_judge=2, open_comparisons=2, jobs=[SAMPLING])
    assert step(loop)[1] == "Judge answers"
    assert next_step(loop).text.endswith("More answers are on their way.")


def test_sampling_with_nothing_to_judge_is_watched():
    loop = replace(SAMPLED, jobs=[SAMPLING])
    assert step(loop) == ("Answers are being sampled", "Watch the sampling", "/p/plain/sampling/6/")
    assert next_step(loop).text.startswith("63 of 100 prompts answered.")


def test_sampling_that_has_not_begun_says_what_it_waits_for():
    waiting = SamplingJob(pk=6, project=PLAIN, status=Job.Status.QUEUED, total=100)
    assert next_step(replace(SAMPLED, jobs=[waiting])).text.startswith("The job waits for a worker.")
    waiting.message = "Waiting for a device: no device process is running."
    assert next_step(replace(SAMPLED, jobs=[waiting])).text.startswith(waiting.message)


@pytest.mark.parametrize(("new_pairs", "label"), [(ENOUGH_PAIRS - 1, "Judge answers"), (ENOUGH_PAIRS, "Train round 1")])
def test_enough_pairs_make_a_round_though_comparisons_are_left(new_pairs, label):
    assert step(SAMPLED, to_judge=9, open_comparisons=9, new_pairs=new_pairs)[1] == label


def test_a_round_is_named_by_its_number():
    loop = replace(SAMPLED, new_pairs=312, rounds=3, last_round=good_round(3))
    assert step(loop) == ("312 new pairs: train round 4", "Train round 4", "/p/plain/rounds/launch/")


def test_few_pairs_make_a_first_round_when_nothing_is_left_to_judge():
    assert step(SAMPLED, new_pairs=3)[0] == "3 pairs: train round 1"
    assert "it works with fewer" in next_step(replace(SAMPLED, new_pairs=3)).text
    # The second round waits for enough of them.
    assert step(SAMPLED, new_pairs=3, rounds=1, last_round=good_round(1))[1] == "Sample again"
    # Somebody else may still judge.
    assert step(SAMPLED, new_pairs=3, open_comparisons=1)[1] == "See the people"


def test_a_running_round_is_watched_whatever_else_there_is():
    loop = replace(SAMPLED, jobs=[SAMPLING, TRAINING], new_pairs=99, to_judge=4, open_comparisons=4)
    assert step(loop) == ("Round 3 is being trained", "Watch round 3", "/p/plain/rounds/3/")
    assert next_step(loop).text.endswith("4 comparisons can be judged meanwhile.")


def test_a_queued_round_waits():
    queued = Round(project=PLAIN, number=3, status=Job.Status.QUEUED)
    assert step(SAMPLED, jobs=[queued])[0] == "Round 3 waits"


def test_a_failed_round_is_looked_into():
    failed = Round(project=PLAIN, number=2, status=Job.Status.FAILED)
    loop = replace(SAMPLED, last_round=failed, new_pairs=99, to_judge=4, open_comparisons=4)
    assert step(loop) == ("Round 2 has stopped", "See why", "/p/plain/rounds/2/")


def test_a_cancelled_round_is_not_brought_up_again():
    cancelled = Round(project=PLAIN, number=2, status=Job.Status.CANCELLED)
    assert step(SAMPLED, last_round=cancelled, rounds=1, new_pairs=20)[1] == "Train round 3"


def test_failed_sampling_is_looked_into_once_nothing_is_left_to_judge():
    failed = SamplingJob(pk=6, project=PLAIN, status=Job.Status.FAILED, progress=3, total=40)
    loop = replace(SAMPLED, last_sampling=failed, unsampled=2)
    assert step(loop) == ("Sampling has stopped", "See why", "/p/plain/sampling/6/")
    assert step(loop, to_judge=4, open_comparisons=4)[1] == "Judge answers"


def test_the_newest_policy_answers_the_next_prompts():
    loop = replace(SAMPLED, unsampled=12, rounds=1, last_round=good_round(1), policy_round=good_round(1))
    assert step(loop) == ("12 prompts to sample", "Sample 12 prompts", "/p/plain/sampling/")
    assert next_step(loop).text.startswith("Round 1 answers each of them")


def test_what_is_left_for_others_is_said():
    loop = replace(SAMPLED, open_comparisons=7, project=Project(slug="plain", overlap=3))
    assert step(loop) == ("7 comparisons left for other people", "See the people", "/p/plain/people/")
    assert next_step(loop).text == "You have judged all that you can. Each comparison is judged by 3 people."


def test_when_all_is_done_there_is_more_to_sample():
    loop = replace(SAMPLED, rounds=1, last_round=good_round(1), policy_round=good_round(1))
    assert step(loop) == ("All answers are judged", "Sample again", "/p/plain/sampling/")
    assert next_step(loop).text == "New answers of Round 1, or more prompts, give people more to compare."
