from celery import shared_task

from jobs.attempts import run_job
from train import freezing, rounds


@shared_task
def run_freezing(job_id: int) -> None:
    """Write one dataset's files. A second delivery finds it claimed and returns."""
    run_job(job_id, freezing.run_freezing)


@shared_task
def run_round(job_id: int) -> None:
    """Train one round. A second delivery finds it claimed and returns."""
    run_job(job_id, rounds.run_round)
