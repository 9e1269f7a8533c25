from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.finding import check, project_named
from jobs.files import whole_file
from projects.models import Project, Prompt
from train.datasets import (
    PARTS,
    DatasetGone,
    NoSuchDataset,
    NothingToTrainOn,
    current_dataset,
    export,
    frozen_dataset,
)
from train.models import Dataset
from train.rule_forms import add_rule_options, rule_form
from train.rules import Rule

PLAIN_FILE = 0o644


class Command(BaseCommand):
    help = "Write a dataset as preference pairs, one JSON object a line, that `datasets` and TRL load unchanged."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name in addresses, such as demo")
        parser.add_argument("--dataset", type=int, help="its number; without it, what the rule takes by now is frozen")
        add_rule_options(parser)
        parser.add_argument("--part", choices=PARTS, default=Prompt.Side.TRAIN)
        parser.add_argument("--output", default="-", help="a file, or - for the terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        dataset = find_dataset(project, options)
        try:
            lines = export(dataset, options["part"])
            if options["output"] == "-":
                self.stdout.writelines(lines)
                return
            write(lines, Path(options["output"]))
        except DatasetGone as error:
            raise CommandError(str(error)) from error
        self.stderr.write(f"{dataset}, {options['part']}: written to {options['output']}.")


def write(lines: Iterator[str], path: Path) -> None:
    if not path.parent.is_dir():
        raise CommandError(f"--output: there is no folder {path.parent}. Make it first.")
    if path.is_dir():
        raise CommandError(f"--output: {path} is a folder. Give a file.")
    try:
        with whole_file(path) as file:
            file.writelines(lines)
        path.chmod(PLAIN_FILE)
    except OSError as error:
        raise CommandError(f"--output: {path} cannot be written: {error.strerror}.") from error


def find_dataset(project: Project, options: dict[str, Any]) -> Dataset:
    which = rule_form(project, options, Rule())
    check(which)
    try:
        if options["dataset"] is None:
            return current_dataset(project, rule=which.rule())
        return frozen_dataset(project, options["dataset"])
    except (NothingToTrainOn, NoSuchDataset) as error:
        raise CommandError(str(error)) from error
