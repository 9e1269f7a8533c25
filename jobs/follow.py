"""Following a job in the terminal until it ends."""

import time

from django.core.management.base import CommandError, OutputWrapper

from jobs.models import Job

SECONDS_BETWEEN_LOOKS = 1.0
ERASE_LINE = "\r\x1b[K"


def wait() -> None:
    time.sleep(SECONDS_BETWEEN_LOOKS)


def line(job: Job) -> str:
    """Return where the job stands, as one line."""
    if job.is_active and job.message:
        return f"{job.title}: {job.status}, {job.message}"
    if job.total:
        return f"{job.title}: {job.status}, {job.progress:,} of {job.total:,}"
    return f"{job.title}: {job.status}"


def follow(job_id: int, output: OutputWrapper) -> None:
    """Show the job's progress until it ends: one line rewritten on a terminal, a line per change elsewhere.

    Raises:
        CommandError: it failed (the text is the job's own), was cancelled, or somebody pressed Ctrl-C.
    """
    terminal = output.isatty()
    shown = ""
    while True:
        job = Job.objects.get(pk=job_id)
        if (now := line(job)) != shown:
            output.write(f"{ERASE_LINE}{now}" if terminal else f"{now}\n", ending="")
            output.flush()
            shown = now
        if not job.is_active:
            break
        try:
            wait()
        except KeyboardInterrupt as interrupt:
            raise CommandError(f"{job.title}: goes on without this terminal.", returncode=130) from interrupt
    if terminal:
        output.write("\n")
    if job.status == Job.Status.FAILED:
        raise CommandError(job.error)
    if job.status == Job.Status.CANCELLED:
        raise CommandError(f"{job.title}: somebody cancelled it.")
