from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from generation.finding import check
from generation.forms import RegisterForm
from generation.models import Registration
from jobs.follow import follow


class Command(BaseCommand):
    help = "Register a base model, from a folder or a hub, that every project can sample from and train."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what people call it here")
        parser.add_argument("source", help="folder of a checkpoint, or a hub id such as org/name")
        parser.add_argument("--revision", default="", help="of a hub id; without it the newest, which is then kept")
        parser.add_argument("--no-wait", action="store_true", help="queue the registration and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        form = RegisterForm(options)
        check(form)
        job = form.register()
        if job is None:
            check(form)
            return
        self.stdout.write(f"Queued as job {job.pk}.")
        if options["no_wait"]:
            return
        follow(job.pk, self.stdout)
        policy = Registration.objects.select_related("policy").get(pk=job.pk).policy
        if policy:
            self.stdout.write(f"It is policy {policy.pk}, “{policy}”, with the fingerprint {policy.fingerprint[:12]}.")
