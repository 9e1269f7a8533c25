from typing import Any

from django import forms
from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.finding import check, policy_named, project_named
from jobs.follow import follow
from train.datasets import NoSuchDataset, NothingToTrainOn, frozen_dataset
from train.figures import pair_figures
from train.forms import LaunchForm
from train.models import Round
from train.recipes import PRESETS
from train.rule_forms import add_rule_options, rule_form

POLICIES = ("start", "reference")
SETTINGS = [name for name in LaunchForm.base_fields if name not in POLICIES]


class Command(BaseCommand):
    help = "Train a round on what was judged by now, and show the progress until it is done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's name in addresses, such as demo")
        parser.add_argument("--from", dest="start", help="name or id of the policy to train; usually the last round's")
        parser.add_argument("--reference", help="name or id; without it, the policy it starts from")
        presets = ", ".join(preset.key for preset in PRESETS)
        parser.add_argument(
            "--like", default="", help=f"begin with the settings of a preset ({presets}) or of a round's number"
        )
        for name in SETTINGS:
            field = LaunchForm.base_fields[name]
            words = f"{field.label}. {field.help_text}".replace("%", "%%")
            option = f"--{name.replace('_', '-')}"
            if isinstance(field, forms.BooleanField):
                parser.add_argument(option, action="store_true", default=None, help=words)
            else:
                parser.add_argument(
                    option, choices=[key for key, _ in getattr(field, "choices", [])] or None, help=words
                )
        add_rule_options(parser)
        parser.add_argument("--dataset", type=int, help="number of a frozen dataset to train on, instead of a rule")
        parser.add_argument("--no-wait", action="store_true", help="queue the round and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_named(options["project"])
        beginning = LaunchForm(project, pairs=pair_figures(project).train, settings=options["like"])
        if options["like"] not in ("", beginning.chosen):
            known = ", ".join(key for key, _, _ in beginning.settings_to_choose_from())
            raise CommandError(f"--like: there are none called {options['like']!r}. There are: {known}.")
        values = beginning.initial
        values = {**values, **{key: options[key] for key in SETTINGS if options[key] is not None}}
        for key in POLICIES:
            policy = policy_named(project, options[key]) if options[key] else values.get(key)
            values[key] = policy and policy.pk
        form = LaunchForm(project, values)
        which = rule_form(project, options, beginning.chosen_rule)
        check(form)
        check(which)
        try:
            dataset = frozen_dataset(project, options["dataset"]) if options["dataset"] is not None else None
            round = form.launch(rule=which.rule(), dataset=dataset)
        except (NothingToTrainOn, NoSuchDataset) as error:
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
