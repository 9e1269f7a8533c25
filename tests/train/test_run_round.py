"""Running a round with the real trainer, as a child process, on a tiny model."""

import json
import os
import signal
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from annotate.judging import best_of, record
from generation.models import Policy, SamplingJob
from generation.policies import register_base, run_registration
from jobs.attempts import cancel, run_job
from jobs.models import Device, Job
from tests.engine.tiny import save_model
from tests.stack import wait_until
from train import rounds
from train.engine.errors import ConfigError
from train.models import Round, RoundMetric
from train.rounds import RoundSettings, launch_round, run_round

pytestmark = pytest.mark.integration
PROMPTS = [f"Question {number}: why?" for number in range(12)]


@pytest.fixture
def tiny(db, tmp_path):
    job = register_base("Tiny", str(save_model(tmp_path / "tiny")))
    run_job(job.pk, run_registration)
    return Policy.objects.get(name="Tiny")


@pytest.fixture
def judged(project, policy, add_prompts, sampled, bob):
    """A project in which the good one of two answers always won; about a third of the prompts are held out."""
    project.held_out_percent = 35
    project.save()
    for comparison in sampled({prompt: ["good", "bad, and longer"] for prompt in add_prompts(*PROMPTS)}):
        winner = comparison.answers.get(completion__text="good").number
        record(bob, comparison, best_of(winner, 2), shown=[0, 1], client_key=str(uuid.uuid4()))
    Device.objects.create(name="local", kind="cpu", heartbeat=Now() + timedelta(hours=1))
    return project


SETTINGS = RoundSettings(lora_rank=4, learning_rate=1e-2, epochs=3, groups_per_step=4, seed=1)


def test_it_works(judged, tiny):
    round = launch_round(judged, tiny, SETTINGS)
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert (round.status, round.error) == (Job.Status.SUCCEEDED, "")
    policy = round.policy
    assert (policy.base, policy.parent, policy.lora_rank, policy.project) == (tiny, tiny, 4, judged)
    assert Path(policy.folder, "adapter_model.safetensors").exists()
    assert policy.tokenizer_fingerprint == tiny.tokenizer_fingerprint
    steps = [metric.values for metric in RoundMetric.objects.filter(round=round) if "rewards/margins" in metric.values]
    assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert steps[-1]["rewards/margins"] > 0.1
    assert round.progress == round.total == len(steps)
    assert round.summary["config"]["loss"]["beta"] == 0.1
    assert Device.objects.get().holder is None
    compare = round.before_and_after
    assert compare.purpose == SamplingJob.Purpose.COMPARE
    assert {item.policy for item in compare.items.all()} == {tiny, policy}
    assert {item.prompt.side for item in compare.items.all()} == {"held_out"}


def test_the_next_round_goes_on_from_the_last(judged, tiny):
    first = launch_round(judged, tiny, SETTINGS)
    run_job(first.pk, run_round)
    first.refresh_from_db()
    second = launch_round(judged, first.policy, SETTINGS)
    run_job(second.pk, run_round)
    second.refresh_from_db()
    assert (second.number, second.status, second.error) == (2, Job.Status.SUCCEEDED, "")
    assert (second.policy.base, second.policy.parent) == (tiny, first.policy)
    assert second.policy != first.policy


def test_a_killed_trainer_is_started_again(judged, tiny):
    round = launch_round(judged, tiny, SETTINGS)
    lock = rounds.run_folder(round) / "lock"
    lock.unlink(missing_ok=True)  # of another test's round with this number

    def kill_trainer():
        wait_until(lambda: lock.exists() and lock.read_text(), 30, "the trainer")
        os.killpg(int(lock.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill_trainer)
    killer.start()
    run_job(round.pk, run_round)
    killer.join()
    round.refresh_from_db()
    assert (round.status, round.stalls) == (Job.Status.QUEUED, 1)
    assert "The trainer was killed" in round.message
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert (round.status, round.attempt) == (Job.Status.SUCCEEDED, 2)


def test_what_stops_the_trainer_is_told_in_its_words(judged, tiny):
    round = launch_round(judged, tiny, SETTINGS)
    Path(tiny.folder, "model.safetensors").unlink()
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert round.status == Job.Status.FAILED
    error = json.loads((rounds.run_folder(round) / "attempt-1" / "error.json").read_text())["error"]
    assert round.error == error
    assert "safetensors" in error
    assert round.policy is None


@pytest.mark.django_db(transaction=True)
def test_cancelling_stops_the_trainer_within_ten_seconds(judged, tiny):
    long = RoundSettings(lora_rank=4, epochs=2000, groups_per_step=4)
    round = launch_round(judged, tiny, long)
    took = []

    def follow(attempt, round, child, metrics):
        wait_until(lambda: metrics.exists() and '"step"' in metrics.read_text(), 60, "the first step")
        cancel(round)
        took.append(time.monotonic())
        attempt.beat()

    original = rounds._follow
    rounds._follow = follow
    try:
        run_job(round.pk, run_round)
    finally:
        rounds._follow = original
    assert time.monotonic() - took[0] < 10
    round.refresh_from_db()
    assert (round.status, round.policy) == (Job.Status.CANCELLED, None)


def test_a_setting_out_of_range_is_refused_before_anything_is_stored(judged, tiny):
    with pytest.raises(ConfigError, match="`loss.beta` must be a number above 0, got -0.1"):
        launch_round(judged, tiny, RoundSettings(beta=-0.1))
    assert not Round.objects.exists()
    assert not judged.datasets.exists()
