from celery import shared_task

from generation import policies, sampling
from jobs.attempts import run_job


@shared_task
def run_sampling_job(job_id: int) -> None:
    """Run one sampling job. A second delivery finds it claimed and returns."""
    run_job(job_id, sampling.run_sampling_job)


@shared_task
def run_registration(job_id: int) -> None:
    """Fingerprint and register one base policy. A second delivery finds it claimed and returns."""
    run_job(job_id, policies.run_registration)
