"""Gold comparisons and repeats among the work."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F

from annotate import checks
from annotate.comparisons import apply_overlap
from annotate.gold import add, add_damaged, take_out
from annotate.judging import Kind, best_of, record, take_back, tally
from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision, Seat
from annotate.queue import go_on, lease_to, left_for, next_lease, stay
from annotate.review import settle, unsettle
from tests.annotate.saying import say
from tests.annotate.test_damage import TEXT
from tests.annotate.test_races import crowd
from tests.people import ask_people
from tests.threads import together
from web.home import loop_of

GOLD, REPEAT = Comparison.Purpose.GOLD, Comparison.Purpose.REPEAT


def ask_checks(project, **shares):
    for name, value in shares.items():
        setattr(project, name, value)
    project.save()


@pytest.fixture
def make_gold(alice, comparisons):
    """Return a function that settles so many comparisons and makes gold of them."""

    def make(how_many: int) -> list[Comparison]:
        originals = comparisons(how_many)
        for comparison in originals:
            settle(comparison, best_of(0, 2), alice, [0, 1])
        Comparison.objects.filter(pk__in=[one.pk for one in originals]).update(judged=F("wanted"))
        return add(originals, GOLD, alice)

    return make


def work_through(person, project, most=1_000) -> list[Comparison]:
    given = []
    while (lease := next_lease(person, project)) and len(given) < most:
        given.append(lease.comparison)
        say(person, lease.comparison, best_of(0, lease.comparison.slots), lease.shown)
    return given


def a_day_passes():
    Revision.objects.update(submitted_at=F("submitted_at") - timedelta(days=2))


def test_the_shares_hold(bob, project, comparisons, make_gold):
    gold = make_gold(30)
    comparisons(150)
    ask_checks(project, gold_percent=10, repeat_percent=10)
    given = Counter(comparison.purpose for comparison in work_through(bob, project))
    assert given["train"] == 150
    assert 8 <= given[GOLD] <= 30
    assert 8 <= given[REPEAT] <= 30
    assert given[GOLD] <= len(gold)


def test_without_shares_nothing_is_asked_nor_given(bob, project, comparisons, make_gold, django_assert_num_queries):
    make_gold(5)
    comparisons(5)
    with django_assert_num_queries(0):
        assert checks.due(bob, project, Seat(person=bob, project=project)) is None
    assert {comparison.purpose for comparison in work_through(bob, project)} == {"train"}


def test_each_is_given_to_everybody_once(bob, dora, project, comparisons, make_gold):
    gold = make_gold(4)
    comparisons(200)
    ask_checks(project, gold_percent=20, overlap=2)
    apply_overlap(project)
    for person in (bob, dora):
        given = Counter(comparison.pk for comparison in work_through(person, project))
        assert set(given.values()) == {1}
        assert {comparison.pk for comparison in gold} <= set(given)


def test_they_do_not_come_all_at_the_end(bob, project, make_gold):
    """An open page looks again every ten seconds: that must not bring one check after the other."""
    make_gold(20)
    ask_checks(project, gold_percent=10)
    for _ in range(200):
        if lease := next_lease(bob, project):
            say(bob, lease.comparison, best_of(0, 2), lease.shown)
    assert Judgement.objects.votes().filter(person=bob).count() <= 3


def test_it_is_not_given_to_who_settled_it_or_saw_the_original(alice, bob, dora, project, comparisons, make_gold):
    originals = comparisons(2)
    for comparison in originals:
        say(bob, comparison, best_of(0, 2))
        settle(comparison, best_of(0, 2), dora, [0, 1])
    gold = add(originals, GOLD, alice)
    assert not checks.gold_for(bob, project).exists()
    assert not checks.gold_for(dora, project).exists()
    assert not checks.gold_for(alice, project).exists()
    assert list(checks.gold_for(crowd(1)[0], project).order_by("pk")) == gold


def test_damaged_gold_is_not_given_to_who_saw_the_original(alice, bob, dora, project, add_prompts, sampled):
    original = sampled({add_prompts("Why?")[0]: [TEXT, "No."]})[0]
    (gold,) = add_damaged(project, 1, GOLD, alice, seed=7)
    assert list(checks.gold_for(bob, project)) == [gold]
    say(bob, original, best_of(0, 2))
    settle(original, best_of(0, 2), dora, [0, 1])
    assert not checks.gold_for(bob, project).exists()
    assert not checks.gold_for(dora, project).exists()


def test_it_is_not_given_to_who_added_it(alice, project, make_gold):
    make_gold(1)
    assert not checks.gold_for(alice, project).exists()


def test_what_is_taken_out_is_not_given(alice, bob, project, make_gold):
    gold = make_gold(2)
    take_out(gold[0].check_made, alice)
    assert list(checks.gold_for(bob, project)) == [gold[1]]


def test_gold_that_is_not_settled_is_not_given(alice, bob, project, make_gold):
    unsettle(make_gold(1)[0], alice)
    assert not checks.gold_for(bob, project).exists()


def test_the_overlap_does_not_open_it(project, make_gold):
    make_gold(3)
    ask_checks(project, overlap=3)
    apply_overlap(project)
    assert set(Comparison.objects.filter(purpose=GOLD).values_list("wanted", flat=True)) == {0}


def test_it_counts_as_work_but_makes_no_pair_that_trains(bob, project, comparisons, make_gold):
    make_gold(1)
    comparisons(40)
    ask_checks(project, gold_percent=20)
    given = work_through(bob, project)
    assert GOLD in {comparison.purpose for comparison in given}
    day = Revision.objects.earliest("submitted_at").submitted_at
    assert tally(bob, project, day)[0] == len(given) == 41
    loop = loop_of(project, bob)
    assert loop.judgements == 40
    assert (
        loop.pairs
        == PreferencePair.objects.current()
        .filter(prompt__side="train", revision__judgement__comparison__purpose="train")
        .count()
    )
    assert left_for(bob, project) == 0


def test_a_repeat_comes_after_a_day_with_the_other_order(bob, dora, project, comparisons):
    original = comparisons(1)[0]
    lease = next_lease(bob, project)
    say(bob, original, best_of(0, 2), lease.shown)
    assert checks._repeat(bob, project, draw()) is None
    a_day_passes()
    repeat = checks._repeat(bob, project, draw())
    assert (repeat.purpose, repeat.repeats, repeat.only_for, repeat.wanted) == (REPEAT, original, bob, 0)
    assert sorted(repeat.answers.values_list("number", "completion")) == sorted(
        original.answers.values_list("number", "completion")
    )
    assert lease_to(bob, repeat).shown == lease.shown[::-1]
    assert checks._repeat(dora, project, draw()) is None


def test_a_repeat_comes_after_twenty_judgements(bob, project, comparisons):
    comparisons(25)
    given = work_through(bob, project, 20)
    assert checks._repeat(bob, project, draw()) is None
    given += work_through(bob, project, 1)
    assert checks._repeat(bob, project, draw()).repeats == given[0]


def test_nothing_is_repeated_twice(bob, project, comparisons):
    comparisons(3)
    work_through(bob, project)
    a_day_passes()
    repeats = []
    while repeat := checks._repeat(bob, project, draw()):
        repeats.append(repeat.repeats_id)
        say(bob, repeat, best_of(0, 2))
    assert len(set(repeats)) == len(repeats) == 3


def test_a_repeat_left_unjudged_comes_again(bob, project, comparisons):
    comparisons(2)
    work_through(bob, project)
    a_day_passes()
    first = checks._repeat(bob, project, draw())
    assert checks._repeat(bob, project, draw()) == first


def test_taking_a_check_back_shows_it_again(bob, project, make_gold):
    gold = make_gold(1)[0]
    say(bob, gold, best_of(0, 2), [1, 0])
    lease = take_back(bob, project, "back")
    assert (lease.comparison, lease.shown) == (gold, [1, 0])
    assert Judgement.objects.get(person=bob, comparison=gold).current.kind == Kind.WITHDRAWN


def test_a_check_that_was_freed_becomes_theirs_again(bob, dora, project, comparisons, make_gold):
    gold = make_gold(1)[0]
    comparisons(1)
    stay(bob, project, [gold.pk], "page")
    assert Lease.objects.get(person=bob).comparison == gold
    Lease.objects.all().delete()
    say(bob, gold, best_of(0, 2))
    stay(bob, project, [gold.pk], "page")
    original = Comparison.objects.get(pk=gold.repeats_id)
    say(dora, original, best_of(0, 2))
    repeat = checks.make_repeat(dora, original)
    stay(bob, project, [repeat.pk], "page")
    assert not Lease.objects.filter(person=bob).exists()
    stay(dora, project, [repeat.pk], "page")
    assert Lease.objects.get(person=dora).comparison == repeat


def test_who_asks_twice_gets_the_same(bob, project, comparisons, make_gold):
    make_gold(10)
    comparisons(10)
    ask_checks(project, gold_percent=20)
    for _ in range(10):
        first = next_lease(bob, project)
        assert next_lease(bob, project) == first
        say(bob, first.comparison, best_of(0, 2), first.shown)


def test_at_most_two_lie_before_a_person(bob, project, comparisons, make_gold):
    make_gold(10)
    comparisons(30)
    ask_checks(project, gold_percent=20, repeat_percent=20)
    for _ in range(10):
        first = next_lease(bob, project)
        second = next_lease(bob, project, have=[first.comparison_id])
        assert next_lease(bob, project, have=[first.comparison_id, second.comparison_id]) is None
        assert Lease.objects.filter(person=bob).count() == 2
        record(bob, first.comparison, best_of(0, 2), shown=first.shown, client_key=str(first.pk))


@pytest.mark.usefixtures("transactional_db")
def test_a_crowd_and_its_tabs_get_each_check_once(project, alice, comparisons, make_gold):
    gold = make_gold(3)
    comparisons(60)
    ask_checks(project, gold_percent=20, overlap=4)
    apply_overlap(project)
    people = crowd(2)
    together(*(lambda person=person: work_through(person, project) for person in [*people, *people]))
    votes = Counter(Judgement.objects.votes().values_list("person", "comparison"))
    assert set(votes.values()) == {1}
    assert Judgement.objects.votes().filter(comparison__in=gold).count() == 6


def draw():
    return random.Random(1)


def test_a_crowd_with_checks_judges_and_goes_on_at_once(transactional_db, project, comparisons, make_gold):
    """Each judgement and the next comparison are one transaction, as the page's submit has it."""
    make_gold(6)
    made = comparisons(24)
    ask_people(project, 2)
    ask_checks(project, gold_percent=20, repeat_percent=20)

    def work(person) -> int:
        lease, done = next_lease(person, project), 0
        while lease:
            with transaction.atomic():
                say(person, lease.comparison, best_of(0, lease.comparison.slots), lease.shown)
                lease = go_on(person, project, [], "")
            lease, done = lease or next_lease(person, project), done + 1
        return done

    people = crowd(5)
    together(*(lambda person=person: work(person) for person in people))
    for person in people:
        work(person)
    assert set(Comparison.objects.filter(pk__in=[one.pk for one in made]).values_list("judged", flat=True)) == {2}
    assert Judgement.objects.votes().filter(comparison__purpose=GOLD).exists()
    assert not Revision.objects.filter(late=True).exists()
