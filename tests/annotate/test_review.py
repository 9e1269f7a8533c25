"""Settling comparisons, leaving people out, and what then counts."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from annotate.judging import Choice, Kind, best_of, record, take_back, tie
from annotate.models import Comparison, Exclusion, Lease, PreferencePair, Revision
from annotate.queue import next_lease
from annotate.review import Refused, exclude, left_out, lift, settle, settlement, unsettle, votes
from annotate.review_forms import BEGINNING
from projects.signals import person_left
from tests.people import ask_people
from tests.threads import together


def judge(person, comparison, choice):
    shown = list(range(comparison.slots))
    return record(person, comparison, choice, shown=shown, client_key=str(uuid.uuid4()))


def chosen() -> set[str]:
    """Return what wins in the pairs that count now."""
    return {text.split(" to ")[0] for text in PreferencePair.objects.current().values_list("chosen__text", flat=True)}


@pytest.fixture
def comparison(project, comparisons):
    (made,) = comparisons()
    ask_people(project, 2)
    return made


@pytest.fixture
def texts(comparison):
    return [
        text.split(" to ")[0]
        for _, text in comparison.answers.order_by("number").values_list("number", "completion__text")
    ]


# ---- settling


def test_a_settlement_wins_over_the_votes_until_it_is_taken_back(alice, bob, dora, comparison, texts):
    judge(bob, comparison, best_of(0, 2))
    judge(dora, comparison, best_of(0, 2))
    revision = settle(comparison, best_of(1, 2, reason="It is right"), alice, [0, 1])
    assert (revision.person, revision.late, revision.reason) == (alice, False, "It is right")
    assert chosen() == {texts[1]}
    assert settlement(comparison) == revision
    assert Comparison.objects.get().judged == 2
    unsettle(comparison, alice)
    assert chosen() == {texts[0]}
    assert settlement(comparison) is None
    unsettle(comparison, alice)  # there is none: nothing happens
    assert Revision.objects.filter(judgement__settles=True).count() == 2


def test_another_admin_settles_anew_in_the_same_chain(alice, olga, comparison, texts):
    first = settle(comparison, best_of(0, 2), alice, [0, 1])
    second = settle(comparison, best_of(1, 2), olga, [0, 1])
    assert (second.judgement, second.number, second.person) == (first.judgement, 2, olga)
    assert chosen() == {texts[1]}


def test_an_admin_may_vote_as_well(alice, project, comparison, texts):
    settle(comparison, best_of(1, 2), alice, [0, 1])
    assert next_lease(alice, project).comparison == comparison
    judge(alice, comparison, best_of(0, 2))
    assert chosen() == {texts[1]}
    assert [revision.person for revision in votes(project)] == [alice]
    assert take_back(alice, project, "back").comparison == comparison  # the vote, not the settlement
    assert settlement(comparison) is not None


def test_a_comparison_settled_as_bad_gives_no_pair(alice, bob, comparison):
    judge(bob, comparison, best_of(0, 2))
    settle(comparison, Choice(Kind.BOTH_BAD), alice, [0, 1])
    assert chosen() == set()


@pytest.mark.parametrize("kind", [Kind.SKIPPED, Kind.FLAGGED, Kind.WITHDRAWN])
def test_it_rejects_a_settlement_that_says_nothing(alice, comparison, kind):
    with pytest.raises(Refused, match="A settlement says which answers are better"):
        settle(comparison, Choice(kind), alice, [0, 1])
    assert not Revision.objects.exists()


def test_two_admins_at_once_are_one_chain(transactional_db, alice, olga, comparison):
    together(*(lambda by=by: settle(comparison, tie(2), by, [0, 1]) for by in (alice, olga)))
    assert sorted(Revision.objects.values_list("number", flat=True)) == [1, 2]


# ---- leaving a person out


def test_what_is_left_out_counts_nowhere_until_it_is_taken_back(alice, bob, dora, project, comparison, texts):
    judge(bob, comparison, best_of(0, 2))
    judge(dora, comparison, best_of(1, 2))
    exclusion = exclude(project, bob, BEGINNING, alice, "pressed 1 all day")
    assert chosen() == {texts[1]}
    assert Comparison.objects.get().judged == 1
    assert (left_out(project).people, left_out(project).judgements) == (1, 1)
    assert [revision.left_out for revision in votes(project).order_by("pk")] == [True, False]
    lift(exclusion, alice)
    assert chosen() == set(texts)
    assert Comparison.objects.get().judged == 2
    assert left_out(project).people == 0
    exclusion.refresh_from_db()
    assert (exclusion.lifted_by, exclusion.reason) == (alice, "pressed 1 all day")


def test_the_place_of_who_is_left_out_goes_to_somebody_else(alice, bob, dora, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, comparison, tie(2))
    assert next_lease(dora, project) is None
    exclude(project, bob, BEGINNING, alice)
    assert next_lease(bob, project) is None
    assert next_lease(dora, project).comparison == comparison


def test_what_was_said_before_the_date_counts(alice, bob, project, comparisons):
    first, second = comparisons(2)
    old = judge(bob, first, best_of(0, 2))
    Revision.objects.filter(pk=old.pk).update(submitted_at=Now() - timedelta(days=3))
    judge(bob, second, best_of(0, 2))
    exclude(project, bob, datetime.now(UTC) - timedelta(days=1), alice)
    assert PreferencePair.objects.current().count() == 1
    assert left_out(project).judgements == 1
    assert Comparison.objects.get(pk=first.pk).judged == 1
    assert Comparison.objects.get(pk=second.pk).judged == 0


def test_what_they_say_meanwhile_is_kept_and_fills_no_place(alice, bob, project, comparison, texts):
    exclusion = exclude(project, bob, BEGINNING, alice)
    judge(bob, comparison, best_of(0, 2))
    assert (chosen(), Comparison.objects.get().judged) == (set(), 0)
    judge(bob, comparison, best_of(1, 2))
    assert Comparison.objects.get().judged == 0
    lift(exclusion, alice)
    assert (chosen(), Comparison.objects.get().judged) == ({texts[1]}, 1)


def test_an_old_judgement_changed_after_the_date_gives_up_its_place(alice, bob, project, comparison):
    old = judge(bob, comparison, best_of(0, 2))
    Revision.objects.filter(pk=old.pk).update(submitted_at=Now() - timedelta(days=3))
    exclude(project, bob, datetime.now(UTC) - timedelta(days=1), alice)
    assert Comparison.objects.get().judged == 1
    judge(bob, comparison, best_of(1, 2))
    assert Comparison.objects.get().judged == 0


def test_nobody_is_left_out_twice_at_a_time(alice, bob, project, comparison):
    judge(bob, comparison, tie(2))
    first = exclude(project, bob, BEGINNING, alice)
    with pytest.raises(Refused, match="The judgements of bob are left out already. Take that back first."):
        exclude(project, bob, BEGINNING, alice)
    lift(first, alice)
    exclude(project, bob, BEGINNING, alice)
    assert Exclusion.objects.count() == 2


def test_another_project_is_left_alone(alice, bob, project, comparison, policy):
    judge(bob, comparison, best_of(0, 2))
    other = type(project).objects.create(name="Other", slug="other")
    exclude(other, bob, BEGINNING, alice)
    assert PreferencePair.objects.current().count() == 1


# ---- disagreement


@pytest.mark.parametrize(
    ("first", "second", "opposed"),
    [
        (best_of(0, 2), best_of(1, 2), True),
        (best_of(0, 2), best_of(0, 2), False),
        (best_of(0, 2), tie(2), False),
        (best_of(0, 2), Choice(Kind.BOTH_BAD), True),
        (tie(2), Choice(Kind.BOTH_BAD), True),
        (best_of(0, 2), Choice(Kind.SKIPPED), False),
        (Choice(Kind.FLAGGED), Choice(Kind.BOTH_BAD), False),
    ],
)
def test_it_knows_who_disagrees(bob, dora, project, comparison, first, second, opposed):
    judge(bob, comparison, first)
    judge(dora, comparison, second)
    assert {revision.opposed for revision in votes(project)} == {opposed}


def test_what_was_replaced_is_no_disagreement(bob, dora, project, comparison):
    judge(bob, comparison, best_of(0, 2))
    judge(dora, comparison, best_of(1, 2))
    judge(dora, comparison, best_of(0, 2))
    assert {revision.opposed for revision in votes(project)} == {False}


# ---- people who leave


@pytest.mark.parametrize("everywhere", [False, True])
def test_what_lies_before_who_leaves_goes_to_others(bob, dora, project, comparisons, everywhere):
    comparisons()
    next_lease(bob, project)
    assert next_lease(dora, project) is None
    person_left.send(None, project=None if everywhere else project, person=bob)
    assert not Lease.objects.filter(person=bob).exists()
    assert next_lease(dora, project) is not None
