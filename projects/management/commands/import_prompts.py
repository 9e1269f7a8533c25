from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.attempts import run_job
from jobs.follow import follow
from jobs.models import Job
from projects.models import Project
from projects.prompts import PromptError, import_prompts, run_import


class Command(BaseCommand):
    help = 'Import prompts from a JSONL file: {"prompt": "…"} or {"messages": […]} a line.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name in addresses")
        parser.add_argument("file", type=Path)

    def handle(self, *args: object, project: str, file: Path, **options: object) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project {project!r}. There are: {known}.")
        try:
            with file.open("rb") as lines:
                job = import_prompts(found, file.name, lines)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except PromptError as error:
            raise CommandError(f"{error} Nothing was imported.") from error
        run_job(job.pk, run_import)
        job.refresh_from_db()
        if job.is_active:  # a worker was quicker
            follow(job.pk, self.stdout)
            job.refresh_from_db()
        if job.status != Job.Status.SUCCEEDED:
            raise CommandError(job.error or f"The import was {job.status}.")
        self.stdout.write(
            f"{job.added:,} prompts imported, {job.duplicates:,} were there already, {job.held_out:,} are held out."
        )
