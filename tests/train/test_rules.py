"""A rule is stored as JSON and read back strictly."""

import importlib
from datetime import date

import pytest

from train.models import Dataset, usual_rule
from train.rules import Rule, RuleError, read_rule

WHOLE = Rule(
    since="dates",
    first_day=date(2026, 3, 1),
    last_day=date(2026, 3, 31),
    overlap=2,
    agreement=67,
    strength=3,
    people_left_out=(4, 7),
    policies=(1,),
    expansion="best",
    opinions="majority",
    pairs_per_prompt=6,
    cap_seed=5,
    settlements="aside",
)


@pytest.mark.parametrize("rule", [Rule(), WHOLE])
def test_what_is_stored_is_read_back(rule):
    assert read_rule(rule.as_json()) == rule


def test_the_database_gives_it_back(project):
    Dataset.objects.create(project=project, number=1, as_of=0, rule=WHOLE.as_json())
    assert Dataset.objects.get().made_by == WHOLE
    assert project.datasets.filter(rule=WHOLE.as_json()).exists()
    assert not project.datasets.filter(rule=Rule().as_json()).exists()


def test_a_field_that_is_missing_has_its_usual_value():
    assert read_rule({"overlap": 2}) == Rule(overlap=2)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([], r"A rule must be a JSON object, got \[\]\."),
        ({"overlapp": 2}, r"A rule has no `overlapp`\. It has since, first_day, "),
        ({"since": "yesterday"}, r"`since` must be one of beginning, round, dates, got 'yesterday'\."),
        ({"expansion": None}, r"`expansion` must be one of all, adjacent, best, got None\."),
        ({"overlap": 0}, r"`overlap` must be a whole number from 1 to 1000, got 0\."),
        ({"overlap": True}, r"`overlap` must be a whole number from 1 to 1000, got True\."),
        ({"agreement": 101}, r"`agreement` must be a whole number from 0 to 100, got 101\."),
        ({"strength": 5}, r"`strength` must be a whole number from 0 to 4, got 5\."),
        ({"pairs_per_prompt": 0}, r"`pairs_per_prompt` must be a whole number from 1 to 1000000, got 0\."),
        ({"policies": ["a"]}, r"`policies` must be a list of ids, whole numbers from 1, got \('a',\)\."),
        ({"people_left_out": 3}, r"`people_left_out` must be a list of ids, whole numbers from 1, got 3\."),
        ({"since": "dates"}, r"`first_day` and `last_day` must both be given where `since` is dates\."),
        ({"first_day": "2026-13-01"}, r"`first_day` must be a day such as 2026-03-31, got '2026-13-01'\."),
        ({"first_day": "2026-03-01"}, r"must be left out unless `since` is dates\."),
        (
            {"since": "dates", "first_day": "2026-03-02", "last_day": "2026-03-01"},
            r"`first_day` must not be after `last_day`, got 2026-03-02 and 2026-03-01\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(stored, message):
    with pytest.raises(RuleError, match=message):
        read_rule(stored)


def test_a_rule_is_said_in_a_sentence():
    assert str(Rule()) == "All that was judged."
    assert str(WHOLE) == (
        "Judged from 2026-03-01 to 2026-03-31, by 2 people or more, of whom 67% agree, better at least, "
        "without 2 people, answers of 1 policy, best against the rest, the majority decides, "
        "at most 6 pairs a prompt, settlements aside."
    )
    assert str(Rule(since="round")) == "Judged since the round before."


def test_the_migration_writes_rules_that_are_read():
    migration = importlib.import_module("train.migrations.0005_rules")
    assert list(usual_rule().items()) == list({**migration.USUAL, "settlements": "win"}.items())
