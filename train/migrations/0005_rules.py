"""Datasets get a rule; it takes the place of what they, and the rounds' configurations, said of settlements."""

from django.db import migrations, models

import train.models

USUAL = {
    "since": "beginning",
    "first_day": None,
    "last_day": None,
    "overlap": 1,
    "agreement": 0,
    "strength": 0,
    "people_left_out": [],
    "policies": [],
    "expansion": "all",
    "opinions": "votes",
    "pairs_per_prompt": None,
    "cap_seed": 0,
}


def to_rules(apps, schema_editor):
    for dataset in apps.get_model("train", "Dataset").objects.only("settlements").iterator():
        dataset.rule = USUAL | {"settlements": dataset.settlements}
        dataset.save(update_fields=["rule"])
    for round in apps.get_model("train", "Round").objects.only("configuration").iterator():
        if round.configuration.pop("settlements", None):
            round.save(update_fields=["configuration"])


def to_settlements(apps, schema_editor):
    for dataset in apps.get_model("train", "Dataset").objects.only("rule").iterator():
        dataset.settlements = dataset.rule.get("settlements", "win")
        dataset.save(update_fields=["settlements"])
    for round in apps.get_model("train", "Round").objects.select_related("dataset").iterator():
        round.configuration["settlements"] = round.dataset.rule.get("settlements", "win")
        round.save(update_fields=["configuration"])


class Migration(migrations.Migration):

    dependencies = [
        ('train', '0004_contests'),
    ]

    operations = [
        migrations.AddField(
            model_name='dataset',
            name='rule',
            field=models.JSONField(default=train.models.usual_rule, help_text='Which judgements it takes, and how they become pairs.'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='after',
            field=models.PositiveBigIntegerField(default=0, help_text='Where the rule counts from the last round on: the newest revision that its dataset knew.'),
        ),
        migrations.RunPython(to_rules, to_settlements),
        migrations.RemoveField(
            model_name='dataset',
            name='settlements',
        ),
    ]
