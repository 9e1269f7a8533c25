from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from generation.finding import check, policy_named, project_named
from generation.forms import SamplingForm
from jobs.follow import follow

CHOICES = (SamplingForm.UNSAMPLED, SamplingForm.ALL, SamplingForm.HELD_OUT)
NUMBERS = ("limit", "n", "temperature", "top_p", "top_k", "max_tokens", "seed")


class Command(BaseCommand):
    help = "Have a policy answer a project's prompts, and show the progress until it is done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name in addresses, such as demo")
        parser.add_argument("--policy", help="name or id; without it, what the project's rounds made last")
        parser.add_argument("--prompts", choices=CHOICES, help="without it, those not sampled yet")
        parser.add_argument("--limit", help="at most so many prompts, oldest first")
        parser.add_argument("-n", help="answers to each prompt, usually 4")
        parser.add_argument("--temperature", help="usually 1.0")
        parser.add_argument("--top-p", help="usually 1.0: no token is ruled out")
        parser.add_argument("--top-k", help="usually 0: no token is ruled out")
        parser.add_argument("--max-tokens", help="of the longest answer; usually as in the last job")
        parser.add_argument("--seed", help="drawn without it")
        parser.add_argument("--no-wait", action="store_true", help="queue the job and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        values = SamplingForm(project).initial
        values = {**values, **{key: options[key] for key in NUMBERS if options[key] is not None}}
        if options["policy"]:
            values["policy"] = policy_named(project, options["policy"])
        values["policy"] = values["policy"] and values["policy"].pk
        values["prompts"] = options["prompts"] or SamplingForm.UNSAMPLED
        form = SamplingForm(project, values)
        check(form)
        job = form.launch()
        self.stdout.write(f"Queued as job {job.pk}: {job.total:,} prompts, {job.n} answers to each, seed {job.seed}.")
        if not options["no_wait"]:
            follow(job.pk, self.stdout)
