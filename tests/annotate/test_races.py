"""Many people at once, each in a thread with a connection of its own. The database may be SQLite or PostgreSQL."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from annotate.judging import Choice, Kind, best_of, record, take_back
from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision
from annotate.queue import next_lease
from annotate.review import exclude, lift
from tests.people import ask_people
from tests.threads import together

pytestmark = pytest.mark.usefixtures("transactional_db")


def crowd(how_many: int) -> list[User]:
    return [User.objects.create_user(f"person {number}") for number in range(how_many)]


def work(person: User, project) -> Callable[[], int]:
    """Judge all there is, as a person with the page open does."""

    def judge() -> int:
        done = 0
        while lease := next_lease(person, project):
            choice = best_of(lease.shown[0], lease.comparison.slots)
            record(person, lease.comparison, choice, shown=lease.shown, client_key=str(uuid.uuid4()))
            done += 1
        return done

    return judge


@pytest.mark.parametrize("overlap", [1, 2])
def test_the_last_place_is_given_once(project, comparisons, overlap):
    comparisons()
    ask_people(project, overlap)
    leases = together(*(lambda person=person: next_lease(person, project) for person in crowd(6)))
    assert sum(lease is not None for lease in leases) == overlap
    assert Lease.objects.count() == overlap


def test_a_crowd_gets_different_comparisons(project, comparisons):
    comparisons(6)
    leases = together(*(lambda person=person: next_lease(person, project) for person in crowd(6)))
    assert len({lease.comparison_id for lease in leases if lease}) == len([lease for lease in leases if lease]) == 6


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_crowd_judges_each_comparison_as_often_as_asked(project, comparisons, overlap):
    made = comparisons(8)
    ask_people(project, overlap)
    people = crowd(4)
    together(*(work(person, project) for person in people))
    # A place that lay before somebody at the very end is judged by whoever looks again.
    for person in people:
        work(person, project)()
    counts = Counter(Judgement.objects.values_list("comparison", flat=True))
    assert counts == {comparison.pk: overlap for comparison in made}
    assert set(Comparison.objects.values_list("judged", flat=True)) == {overlap}
    assert not Revision.objects.filter(late=True).exists()
    assert not Lease.objects.exists()
    assert PreferencePair.objects.count() == 8 * overlap


def test_tabs_of_one_person_show_the_same(bob, project, comparisons):
    comparisons(4)
    leases = together(*[lambda: next_lease(bob, project)] * 4)
    assert len({lease.comparison_id for lease in leases}) == 1
    assert len({tuple(lease.shown) for lease in leases}) == 1


def test_the_same_submit_at_the_same_time_counts_once(bob, project, comparisons):
    (comparison,) = comparisons()
    lease = next_lease(bob, project)
    submit = lambda: record(bob, comparison, best_of(0, 2), shown=lease.shown, client_key="once")  # noqa: E731
    revisions = together(*[submit] * 4)
    assert len({revision.pk for revision in revisions}) == 1
    assert (Revision.objects.count(), PreferencePair.objects.count()) == (1, 1)
    assert Comparison.objects.get().judged == 1


def test_two_choices_at_the_same_time_are_two_revisions_of_which_one_counts(bob, comparisons):
    (comparison,) = comparisons()
    calls = [
        lambda winner=winner: record(bob, comparison, best_of(winner, 2), shown=[0, 1], client_key=f"key {winner}")
        for winner in (0, 1)
    ]
    together(*calls)
    assert sorted(Revision.objects.values_list("number", flat=True)) == [1, 2]
    assert PreferencePair.objects.current().count() == 1
    assert Comparison.objects.get().judged == 1


def test_the_same_undo_at_the_same_time_goes_back_one(bob, project, comparisons):
    for comparison in comparisons(2):
        record(bob, comparison, Choice(Kind.BOTH_BAD), shown=[0, 1], client_key=str(uuid.uuid4()))
    together(*[lambda: take_back(bob, project, "once")] * 3)
    assert Revision.objects.filter(kind=Kind.WITHDRAWN).count() == 1
    assert sorted(Comparison.objects.values_list("judged", flat=True)) == [0, 1]


def test_two_undos_at_the_same_time_go_back_two(bob, project, comparisons):
    for comparison in comparisons(2):
        record(bob, comparison, Choice(Kind.BOTH_BAD), shown=[0, 1], client_key=str(uuid.uuid4()))
    together(*(lambda key=key: take_back(bob, project, key) for key in ("one", "two")))
    assert list(Comparison.objects.values_list("judged", flat=True)) == [0, 0]


@pytest.mark.parametrize("lifted", [False, True])
def test_who_is_excluded_while_they_submit_fills_no_place(alice, bob, project, comparisons, lifted):
    """Nor does it lose one that fills a place when the exclusion is lifted meanwhile."""
    (comparison,) = comparisons()
    if lifted:
        exclusion = exclude(project, bob, timezone.now(), alice)
    said, asked = Event(), Event()

    def submit() -> None:
        with transaction.atomic():
            record(bob, comparison, best_of(0, 2), shown=[0, 1], client_key="once")
            said.set()
            asked.wait(10)
            time.sleep(0.3)  # so that the other one would be done, did it not wait

    def change() -> None:
        said.wait(10)
        asked.set()
        if lifted:
            lift(exclusion, alice)
        else:
            exclude(project, bob, timezone.now() - timedelta(hours=1), alice)

    together(submit, change)
    assert Comparison.objects.get().judged == int(lifted)
