from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from projects.models import Project
from web import demo


class Command(BaseCommand):
    help = "Make the demo project: a small model, prompts, guidelines and four accounts. Once only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", type=Path, required=True, help="folder of the demo model's checkpoint")

    def handle(self, *args: object, model: Path, **options: object) -> None:
        if Project.objects.exists():
            return
        if not model.is_dir():
            raise CommandError(f"There is no model in {model}. `make demo-model` brings it.")
        demo.make(model)
        self.stdout.write("The demo project is ready.")
