"""The numbers of a project as a whole: kept while nothing changes, and as JSON."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from annotate import figures
from annotate.estimates import Estimate
from annotate.figures import Times, as_json, numbers_of, times
from annotate.judging import Choice, Kind, best_of, tie
from annotate.models import Exclusion
from annotate.reliability import Checked
from annotate.votes import Said
from tests.annotate.saying import say

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def said(seconds=None, opened=None, kind="ranked"):
    opened_at = None if opened is None else NOON - timedelta(seconds=opened)
    return Said(1, 1, 1, kind, [[0], [1]], [], [0, 1], opened_at, NOON, seconds)


def test_it_works(project, bob, dora, comparisons):
    made = comparisons(12)
    for number, comparison in enumerate(made):
        say(bob, comparison, best_of(0, 2))
        say(dora, comparison, best_of(1, 2) if number < 3 else tie(2) if number < 5 else best_of(0, 2))
    [extra] = comparisons(1)
    say(bob, extra, Choice(Kind.SKIPPED))
    found = numbers_of(project)
    assert found.judgements == 25
    assert found.kinds == {"ranked": 24, "both_bad": 0, "skipped": 1, "flagged": 0}
    assert (found.pairs_compared, found.pairs_decided, found.ties) == (24, 22, 2)
    assert found.agreement.raw_agreement.value == pytest.approx(7 / 12)
    assert [(row.person, row.other) for row in found.two_people] == [(bob.pk, dora.pk)]
    assert found.two_people[0].agreement == found.agreement
    assert [week.agreement.pairs for week in found.weeks] == [12]
    assert found.first_shown_wins.value == pytest.approx(19 / 22)
    people = {row.person: row for row in found.people}
    assert (people[bob.pk].judged, people[dora.pk].judged) == (12, 12)
    assert people[bob.pk].tie_share == 0.0
    assert people[dora.pk].tie_share == pytest.approx(2 / 12)
    assert people[dora.pk].first_shown_wins.value == pytest.approx(0.7)


@pytest.mark.filterwarnings("error:::annotate")
def test_there_are_numbers_of_nothing(project):
    found = numbers_of(project)
    assert (found.judgements, found.two_people, found.weeks, found.people) == (0, [], [], [])
    assert found.time == Times(0, False)


def test_numbers_are_kept_until_a_judgement_or_an_exclusion(project, alice, bob, comparisons, monkeypatch):
    first, second = comparisons(2)
    say(bob, first, best_of(0, 2))
    found = numbers_of(project)
    real = figures.compute
    monkeypatch.setattr(figures, "compute", lambda *_: pytest.fail("computed again"))
    assert numbers_of(project) == found
    monkeypatch.setattr(figures, "compute", real)
    say(bob, second, best_of(0, 2))
    assert numbers_of(project).judgements == 2
    Exclusion.objects.create(project=project, person=bob, since=timezone.now() - timedelta(hours=1), created_by=alice)
    assert (numbers_of(project).judgements, numbers_of(project).left_out) == (0, 2)


def test_kept_numbers_take_two_queries(project, bob, comparisons, django_assert_num_queries):
    say(bob, comparisons()[0], best_of(0, 2))
    numbers_of(project)
    with django_assert_num_queries(2):  # the newest revision, exclusions
        numbers_of(project)


# ---- time


def test_quartiles_of_what_the_page_measured():
    assert times([said(10), said(20), said(30), said(40), said(50)]) == Times(5, True, 20, 30, 40)


def test_what_was_measured_is_not_mixed_with_what_was_not():
    assert times([said(10, 100), said(None, 5000)]) == Times(1, True, 10, 10, 10)


def test_time_since_opened_stands_in():
    assert times([said(None, 60), said(None, 120), said()]) == Times(2, False, 75, 90, 105)


def test_skips_take_no_time():
    assert times([said(5, kind="skipped"), said(9, kind="both_bad")]) == Times(1, True, 9, 9, 9)


# ---- JSON


UNCHECKED = Checked(0, 0, Estimate(missing="None"))


def test_json_has_the_interval_and_the_names():
    row = figures.Person(
        7, 3, Estimate(0.1 + 0.2, 0.1, 0.5), None, Checked(5, 4, Estimate(0.8)), UNCHECKED, Times(0, False)
    )
    assert as_json([row], {7: "bob"}) == [
        {
            "person": "bob",
            "judged": 3,
            "first_shown_wins": {"value": 0.30000000000000004, "interval": [0.1, 0.5], "missing": ""},
            "tie_share": None,
            "gold_agreement": {"judged": 5, "same": 4, "share": {"value": 0.8, "interval": None, "missing": ""}},
            "self_consistency": {"judged": 0, "same": 0, "share": {"value": None, "interval": None, "missing": "None"}},
            "time": {
                "judgements": 0,
                "measured": False,
                "lower_quartile": None,
                "median": None,
                "upper_quartile": None,
            },
        }
    ]


# ---- the web process


def test_the_web_process_starts_without_the_libraries_of_statistics():
    check = """
import django, sys
django.setup()
import config.urls, config.wsgi
print(sorted({"numpy", "scipy", "pandas", "statsmodels", "krippendorff"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
