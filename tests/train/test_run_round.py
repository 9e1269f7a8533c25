"""Running a round with the real trainer, as a child process, on a tiny model."""

import json
import os
import signal
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from annotate.judging import best_of, record
from generation.models import Policy, SamplingJob
from generation.policies import register_base, run_registration
from jobs.attempts import CancelRequested, StopRequested, cancel, resume, run_job
from jobs.models import Device, Job
from tests.engine.tiny import save_model
from tests.stack import wait_until
from train import rounds
from train.engine.errors import ConfigError
from train.models import Round, RoundMetric
from train.recipes import RoundSettings
from train.rounds import checkpoint_step, launch_round, run_round

pytestmark = pytest.mark.integration
PROMPTS = [f"Question {number}: why?" for number in range(12)]


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    """A data folder of its own: run folders outlive the rows of a test."""
    settings.WINNOW_HOME = tmp_path / "home"
    for name in ("run", "log", "imports"):
        (settings.WINNOW_HOME / name).mkdir(parents=True)


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


@pytest.fixture
def kill_trainer(monkeypatch):
    """Return a function that has the trainer killed so many times, each at its next checkpoint."""

    def prepare(times: int):
        left = [times]

        class Mortal(rounds.Child):
            def status(self):
                folders = list(rounds.settings.WINNOW_HOME.glob("rounds/*/run/checkpoints/step-????????"))
                if left[0] and len(folders) > 0 and {folder.name for folder in folders} != seen:
                    seen.clear()
                    seen.update(folder.name for folder in folders)
                    left[0] -= 1
                    os.killpg(self.pid, signal.SIGKILL)
                return super().status()

        seen: set[str] = set()
        monkeypatch.setattr(rounds, "Child", Mortal)

    return prepare


LONG = replace(SETTINGS, epochs=150, checkpoint_every_steps=20)


def test_a_killed_trainer_goes_on_with_half_the_tokens_at_once(judged, tiny, kill_trainer):
    whole = launch_round(judged, tiny, LONG)
    run_job(whole.pk, run_round)
    kill_trainer(2)
    round = launch_round(judged, tiny, LONG)
    run_job(round.pk, run_round)
    whole.refresh_from_db()
    round.refresh_from_db()
    assert (round.status, round.attempt, round.error) == (Job.Status.SUCCEEDED, 1, "")
    told = [f"with half the tokens at once, {tokens}." for tokens in ("2,048", "1,024")]
    assert [warning.partition("checkpoint ")[2] for warning in round.warnings[:2]] == told
    assert round.summary["config"]["token_budget"] == 1024
    assert round.policy == whole.policy  # the same weights, to the bit
    metrics = RoundMetric.objects.filter(round=round).order_by("line").values_list("values", flat=True)
    steps = [values["step"] for values in metrics if "loss" in values]
    assert steps == list(range(1, round.total + 1))
    assert not (rounds.run_folder(round) / "run" / "checkpoints").exists()


def test_a_trainer_that_is_always_killed_is_given_up(judged, tiny, kill_trainer):
    kill_trainer(100)
    round = launch_round(judged, tiny, replace(LONG, epochs=300, checkpoint_every_steps=1))
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert (round.status, round.stalls) == (Job.Status.QUEUED, 1)
    assert round.message.startswith(
        "The trainer was killed 4 times, the last time with 512 tokens at once: the machine"
    )


def test_a_worker_that_died_after_the_training_leaves_no_work_to_do_again(judged, tiny, monkeypatch):
    round = launch_round(judged, tiny, SETTINGS)
    with monkeypatch.context() as patched:
        patched.setattr(rounds, "_register", lambda *_: (_ for _ in ()).throw(StopRequested))
        run_job(round.pk, run_round)
    monkeypatch.setattr(rounds, "Child", None)  # no trainer is started again
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert (round.status, round.attempt) == (Job.Status.SUCCEEDED, 2)


def test_what_stops_the_trainer_is_told_in_its_words(judged, tiny):
    round = launch_round(judged, tiny, SETTINGS)
    Path(tiny.folder, "model.safetensors").unlink()
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert round.status == Job.Status.FAILED
    error = json.loads((rounds.run_folder(round) / "run" / "error.json").read_text())["error"]
    assert round.error == error
    assert "safetensors" in error
    assert round.policy is None


@pytest.mark.django_db(transaction=True)
def test_cancelling_stops_the_trainer_within_ten_seconds(judged, tiny):
    round = launch_round(judged, tiny, RoundSettings(lora_rank=4, epochs=2000, groups_per_step=4))
    took = []

    def follow(attempt, round, child, metrics, old):
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
    assert checkpoint_step(round) > 0


def test_a_cancelled_round_goes_on_from_where_it_stopped(judged, tiny, monkeypatch):
    round = launch_round(judged, tiny, LONG)
    store = rounds._store_metrics

    def cancel_at_step(attempt, round, first, rows):
        store(attempt, round, first, rows)
        if any(row.get("step", 0) > 5 for row in rows):
            raise CancelRequested

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "_store_metrics", cancel_at_step)
        run_job(round.pk, run_round)
    round.refresh_from_db()
    assert round.status == Job.Status.CANCELLED
    reached = checkpoint_step(round)
    assert reached > 5
    resume(round)
    run_job(round.pk, run_round)
    round.refresh_from_db()
    assert (round.status, round.error) == (Job.Status.SUCCEEDED, "")
    began = RoundMetric.objects.filter(round=round, attempt=2, values__stage="training").last()
    assert began.values["done"] == reached
    assert RoundMetric.objects.filter(round=round, attempt=2, values__has_key="loss").count() == round.total


def test_a_setting_out_of_range_is_refused_before_anything_is_stored(judged, tiny):
    with pytest.raises(ConfigError, match="`loss.beta` must be a number above 0, got -0.1"):
        launch_round(judged, tiny, RoundSettings(beta=-0.1))
    assert not Round.objects.exists()
    assert not judged.datasets.exists()
