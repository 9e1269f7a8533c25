from celery import shared_task

from jobs.attempts import run_job
from projects import prompts


@shared_task
def run_import(job_id: int) -> None:
    """Run one prompt import. A second delivery finds it claimed and returns."""
    run_job(job_id, prompts.run_import)
