from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.finding import check, policy_named, project_named
from jobs.follow import follow
from train.datasets import NothingToTrainOn
from train.forms import FULL, LORA, LaunchForm
from train.models import Round

SETTINGS = ("method", "lora_rank", "beta", "learning_rate", "epochs", "groups_per_step", "max_steps", "seed")


class Command(BaseCommand):
    help = "Train a round on what was judged by now, and show the progress until it is done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name in addresses, such as demo")
        parser.add_argument("--from", dest="start", help="name or id of the policy to train; usually the last round's")
        parser.add_argument("--reference", help="name or id; without it, the policy it starts from")
        parser.add_argument("--method", choices=(LORA, FULL), help="an adapter or all weights")
        parser.add_argument("--lora-rank", help="of a new adapter, usually 16")
        parser.add_argument("--beta", help="how strongly it stays close to the reference, usually 0.1")
        parser.add_argument("--learning-rate", help="1e-4 to 5e-4 for adapters, 1e-7 to 1e-5 for all weights")
        parser.add_argument("--epochs", help="how often each pair is seen")
        parser.add_argument("--groups-per-step", help="comparisons a step")
        parser.add_argument("--max-steps", help="stop after so many steps")
        parser.add_argument("--seed", help="the same seed trains the same way again")
        parser.add_argument("--no-wait", action="store_true", help="queue the round and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        values = LaunchForm(project).initial
        values = {**values, **{key: options[key] for key in SETTINGS if options[key] is not None}}
        for key in ("start", "reference"):
            policy = policy_named(project, options[key]) if options[key] else values.get(key)
            values[key] = policy and policy.pk
        form = LaunchForm(project, values)
        check(form)
        try:
            round = form.launch()
        except NothingToTrainOn as error:
            raise CommandError(str(error)) from error
        if round is None:
            check(form)
            return
        self.stdout.write(f"Queued as round {round.number}, from {round.start}.")
        if options["no_wait"]:
            return
        follow(round.pk, self.stdout)
        made = Round.objects.select_related("policy").get(pk=round.pk).policy
        self.stdout.write(f"It made the policy “{made}”.")
