import fcntl

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs import device_process, stopping
from jobs.leash import die_with_supervisor


class Command(BaseCommand):
    help = "Own a device: start, watch and stop its model server as sampling jobs and rounds need it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="local", help="the device's name; one process per name")

    def handle(self, *args: object, name: str, **options: object) -> None:
        die_with_supervisor()
        stopping.stop_on_signals()
        lock = (settings.WINNOW_HOME / "run" / f"device-{name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"Another process owns the device {name!r}. Stop it, or give --name.") from error
        device_process.run(name)
