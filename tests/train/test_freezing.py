"""Freezing as a job of its own."""

from jobs.attempts import run_job
from jobs.models import Job
from train import freezing
from train.datasets import current_dataset
from train.freezing import ask_for_dataset, freeze_later, run_freezing
from train.models import Freezing
from train.rules import Rule


def test_it_writes_the_dataset_that_was_asked_for(project, judged, alice):
    dataset = ask_for_dataset(project, Rule(), alice)
    job = Freezing.objects.get()
    assert (dataset.frozen_at, job.status, job.queue, job.created_by) == (None, "queued", "light", alice)
    run_job(job.pk, run_freezing)
    dataset.refresh_from_db()
    job.refresh_from_db()
    assert (dataset.train_pairs, job.status, job.progress) == (3, "succeeded", 4)
    assert ask_for_dataset(project, Rule()) == dataset
    assert Freezing.objects.count() == 1


def test_asked_for_twice_it_is_one_job(project, judged):
    assert ask_for_dataset(project, Rule()) == ask_for_dataset(project, Rule())
    assert Freezing.objects.count() == 1


def test_one_that_failed_is_tried_again(project, judged, monkeypatch):
    dataset = ask_for_dataset(project, Rule())
    job = Freezing.objects.get()

    def no_space(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(freezing, "freeze", no_space)
        run_job(job.pk, run_freezing)
    job.refresh_from_db()
    assert (job.status, "No space left" in job.error) == (Job.Status.FAILED, True)
    freeze_later(dataset)
    run_job(job.pk, run_freezing)
    dataset.refresh_from_db()
    assert dataset.frozen_at


def test_a_dataset_that_a_round_has_frozen_meanwhile_stays(project, judged):
    dataset = ask_for_dataset(project, Rule())
    frozen = current_dataset(project)
    assert frozen == dataset
    run_job(Freezing.objects.get().pk, run_freezing)
    dataset.refresh_from_db()
    assert dataset.frozen_at == frozen.frozen_at
