"""Writing a dataset's files as a job of its own, for who wants the dataset without a round."""

from django.contrib.auth.models import User
from django.db import transaction

from jobs.attempts import Attempt, resume, submit
from jobs.models import Job
from projects.models import Project
from train.datasets import freeze, numbered_dataset
from train.models import Dataset, Freezing
from train.rules import Rule


def ask_for_dataset(project: Project, rule: Rule, user: User | None = None) -> Dataset:
    """Return the dataset of what the rule takes now; one that is not frozen yet is queued to be.

    Raises:
        NothingToTrainOn: the rule finds no pair of a training prompt's answers.
    """
    dataset = numbered_dataset(project, user, rule)
    if not dataset.frozen_at:
        freeze_later(dataset, user)
    return dataset


@transaction.atomic
def freeze_later(dataset: Dataset, user: User | None = None) -> None:
    """Queue the dataset to be frozen; one that failed or was cancelled is tried again."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)  # asked twice at once, it is one job
    known = Freezing.objects.filter(dataset=dataset).first()
    if known:
        resume(known)
        return
    job = Freezing(
        queue=Job.Queue.LIGHT,
        task="train.tasks.run_freezing",
        title=f"freezing {dataset}",
        created_by=user,
        dataset=dataset,
    )
    submit(job)


def run_freezing(attempt: Attempt) -> None:
    """Write the files. Where a round does so at the same time, both write the same."""
    dataset = Dataset.objects.select_related("project").get(freezing=attempt.job_id)
    attempt.beat(message="Looking for what counts.")
    freeze(dataset, lambda done: attempt.beat(progress=done, message=f"{done:,} comparisons are written."))
