"""Who gets what next, in one process. tests/annotate/test_races.py has the threads."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from annotate.judging import Choice, Kind, record, take_back, tally, tie
from annotate.models import Comparison, Lease, Seat
from annotate.queue import (
    LEASE,
    call_back,
    held_by_others,
    lease_to,
    leave,
    left_for,
    next_lease,
    open_to,
    prompts_coming,
    stay,
)
from generation.models import SamplingJob
from jobs.models import Job
from projects.access import add_member
from projects.models import Membership, Project
from tests.people import ask_people


def held(person, project):
    """Return what lies before a person in a project, the first first."""
    return Lease.objects.filter(person=person, project=project).order_by("turn", "opened_at", "pk")


def judge(person, lease, choice=None):
    choice = choice or tie(lease.comparison.slots)
    return record(person, lease.comparison, choice, shown=lease.shown, client_key=str(uuid.uuid4()))


def expire(lease):
    Lease.objects.filter(pk=lease.pk).update(expires_at=Now() - timedelta(seconds=1))


def test_it_works(bob, project, comparisons):
    comparisons(3)
    seen = []
    while lease := next_lease(bob, project):
        assert sorted(lease.shown) == [0, 1]
        seen.append(lease.comparison_id)
        judge(bob, lease)
    assert seen == list(Comparison.objects.order_by("place").values_list("pk", flat=True))
    assert left_for(bob, project) == 0


def test_priority_comes_before_the_shuffle(bob, project, comparisons):
    chosen = comparisons(3)[1]
    Comparison.objects.filter(pk=chosen.pk).update(priority=1)
    assert next_lease(bob, project).comparison == chosen


def test_what_lies_before_a_person_stays_there(bob, project, comparisons):
    comparisons(2)
    lease = next_lease(bob, project)
    again = next_lease(bob, project)
    assert (again, again.shown) == (lease, lease.shown)


def test_a_look_renews_the_lease(bob, project, comparisons):
    comparisons()
    lease = next_lease(bob, project)
    Lease.objects.filter(pk=lease.pk).update(expires_at=Now() + timedelta(minutes=1))
    next_lease(bob, project)
    lease.refresh_from_db()
    assert lease.expires_at - lease.opened_at >= LEASE


def test_two_people_get_different_comparisons(bob, dora, project, comparisons):
    comparisons(2)
    assert next_lease(bob, project).comparison != next_lease(dora, project).comparison
    assert left_for(bob, project) == 1


def test_a_place_is_taken_while_the_comparison_lies_before_somebody(bob, dora, project, comparisons):
    comparisons()
    lease = next_lease(bob, project)
    assert next_lease(dora, project) is None
    assert (left_for(dora, project), held_by_others(dora, project), held_by_others(bob, project)) == (0, 1, 0)
    expire(lease)
    assert next_lease(dora, project).comparison == lease.comparison


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_a_comparison_is_judged_as_often_as_the_project_asks(alice, bob, dora, project, comparisons, overlap):
    comparisons()
    ask_people(project, overlap)
    leases = [next_lease(person, project) for person in (alice, bob, dora)]
    assert sum(lease is not None for lease in leases) == overlap
    for person, lease in zip((alice, bob, dora), leases, strict=True):
        if lease:
            judge(person, lease)
    assert [left_for(person, project) for person in (alice, bob, dora)] == [0, 0, 0]


def test_nobody_gets_what_they_judged(bob, dora, project, comparisons):
    (comparison,) = comparisons()
    ask_people(project, 2)
    judge(bob, next_lease(bob, project))
    assert next_lease(bob, project) is None
    assert next_lease(dora, project).comparison == comparison


def test_a_skip_leaves_the_place_to_others_and_does_not_come_again(bob, dora, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, next_lease(bob, project), Choice(Kind.SKIPPED))
    assert next_lease(bob, project) is None
    assert next_lease(dora, project).comparison == comparison


def test_what_was_taken_back_and_left_comes_back(bob, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, next_lease(bob, project))
    expire(take_back(bob, project, "back"))
    assert next_lease(bob, project).comparison == comparison


def test_what_was_taken_back_is_free_for_others_once_it_is_left(bob, dora, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, next_lease(bob, project))
    lease = take_back(bob, project, "back")
    assert next_lease(dora, project) is None
    expire(lease)
    assert next_lease(dora, project).comparison == comparison
    assert next_lease(bob, project) is None


def test_a_person_holds_two_at_most(bob, project, comparisons):
    comparisons(4)
    for _ in range(3):
        judge(bob, next_lease(bob, project))
    next_lease(bob, project)
    backs = [take_back(bob, project, f"back {n}") for n in range(3)]
    assert list(held(bob, project)) == [backs[2], backs[1]]


def test_the_most_is_over_all_projects(bob, project, comparisons):
    for number in range(3):
        other = Project.objects.create(name=f"Other {number}", slug=f"other-{number}")
        add_member(other, bob, Membership.Role.ANNOTATOR)
        (comparison,) = comparisons()
        Comparison.objects.filter(pk=comparison.pk).update(project=other)
        assert next_lease(bob, other).comparison == comparison
    assert Lease.objects.filter(person=bob).count() == 2


def test_what_is_read_stays_though_something_lies_in_another_project(bob, project, comparisons):
    comparisons()
    other = Project.objects.create(name="Other", slug="other")
    add_member(other, bob, Membership.Role.ANNOTATOR)
    Comparison.objects.update(project=other)
    next_lease(bob, other)
    comparisons(3)
    first = next_lease(bob, project)
    assert Lease.objects.filter(person=bob).count() == 2
    second = next_lease(bob, project, have=[first.comparison_id])
    assert list(held(bob, project)) == [first, second]
    assert Lease.objects.filter(person=bob).count() == 2


def test_what_comes_back_takes_the_place_of_another_projects(bob, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, next_lease(bob, project))
    other = Project.objects.create(name="Other", slug="other")
    add_member(other, bob, Membership.Role.ANNOTATOR)
    (other_comparison,) = comparisons()
    Comparison.objects.filter(pk=other_comparison.pk).update(project=other)
    next_lease(bob, other)
    comparisons(1)
    here = next_lease(bob, project)
    back = take_back(bob, project, "back")
    assert list(held(bob, project)) == [back, here]
    assert not held(bob, other)


def test_orders_differ_between_people_and_stay(bob, dora, alice, project, comparisons):
    (comparison,) = comparisons(answers=8)
    orders = [tuple(lease_to(person, comparison).shown) for person in (alice, bob, dora)]
    assert len(set(orders)) == 3  # one chance in 13,000 or so for two to be the same
    Lease.objects.all().delete()
    assert [tuple(lease_to(person, comparison).shown) for person in (alice, bob, dora)] == orders


def test_the_next_is_fetched_ahead_and_no_third(bob, project, comparisons):
    comparisons(4)
    first = next_lease(bob, project)
    second = next_lease(bob, project, have=[first.comparison_id])
    assert second.comparison != first.comparison
    assert next_lease(bob, project, have=[first.comparison_id, second.comparison_id]) is None
    judge(bob, first)
    third = next_lease(bob, project, have=[second.comparison_id])
    assert third.comparison not in (first.comparison, second.comparison)
    assert next_lease(bob, project) == second


def test_whoever_leaves_frees_what_their_page_had(bob, dora, project, comparisons):
    comparisons(2)
    first = next_lease(bob, project, visit="a")
    next_lease(bob, project, have=[first.comparison_id], visit="a")
    assert next_lease(dora, project) is None
    next_lease(bob, project, visit="b")  # a reload: the new page comes before the old one is gone
    leave(bob, project, "a")
    assert next_lease(dora, project) is None
    leave(bob, project, "b")
    assert next_lease(dora, project) is not None


def test_staying_renews_and_takes_again_what_is_still_free(bob, dora, project, comparisons):
    comparisons(2)
    first = next_lease(bob, project, visit="a")
    second = next_lease(bob, project, have=[first.comparison_id], visit="a")
    have = [first.comparison_id, second.comparison_id]
    leave(bob, project, "a")
    taken = next_lease(dora, project)
    stay(bob, project, have, "a")
    assert [lease.comparison_id for lease in held(bob, project)] == [n for n in have if n != taken.comparison_id]
    Lease.objects.filter(person=bob).update(expires_at=Now() + timedelta(minutes=1))
    stay(bob, project, have, "a")
    assert all(lease.expires_at > timezone.now() + timedelta(minutes=20) for lease in held(bob, project))


def test_whoever_has_passed_many_goes_on_where_they_were_and_comes_round(bob, dora, project, comparisons):
    ask_people(project, 2)
    made = sorted(comparisons(6), key=lambda comparison: comparison.place)
    ask_people(project, 2)
    skipped = next_lease(dora, project)  # bob's search must pass nothing that is free
    for _ in range(4):
        judge(bob, next_lease(bob, project))
    seat = Seat.objects.get(person=bob)
    assert seat.place == made[3].place
    # Behind the seat something becomes free; ahead of it comes first, then the rest.
    take_back(bob, project, "back")
    leave(bob, project, "")
    rest = []
    while lease := next_lease(bob, project):
        rest.append(lease.comparison_id)
        judge(bob, lease)
    assert rest == [made[3].pk, made[4].pk, made[5].pk]
    assert skipped.comparison_id == made[0].pk


def test_what_became_free_behind_is_found_at_the_end(bob, dora, project, comparisons):
    made = sorted(comparisons(3), key=lambda comparison: comparison.place)
    lease = next_lease(dora, project)
    assert lease.comparison_id == made[0].pk
    for _ in range(2):
        judge(bob, next_lease(bob, project))
    assert next_lease(bob, project) is None
    leave(dora, project, "")
    assert next_lease(bob, project).comparison_id == made[0].pk


def test_what_has_priority_is_given_at_once_to_who_has_passed_its_place(bob, project, comparisons):
    comparisons(4)
    for _ in range(2):
        judge(bob, next_lease(bob, project))
    (urgent,) = comparisons(1)
    Comparison.objects.filter(pk=urgent.pk).update(priority=1)
    call_back(Comparison.objects.get(pk=urgent.pk))
    assert next_lease(bob, project).comparison_id == urgent.pk


def test_what_is_new_at_the_same_priority_waits_its_turn(bob, project, comparisons):
    comparisons(2)
    judge(bob, next_lease(bob, project))
    seat = Seat.objects.get(person=bob).place
    for comparison in comparisons(3):
        call_back(comparison)
    assert Seat.objects.get(person=bob).place == seat


def about_left(person, project) -> int:
    return tally(person, project, datetime(2026, 11, 21, tzinfo=UTC))[1]


def test_what_is_left_is_counted_now_and_then_and_goes_down(bob, project, comparisons, django_assert_num_queries):
    comparisons(3)
    lease = next_lease(bob, project)
    assert about_left(bob, project) == 3
    judge(bob, lease)
    with django_assert_num_queries(1):
        assert about_left(bob, project) == 2
    take_back(bob, project, "back")
    assert about_left(bob, project) == 3
    comparisons(2)
    assert about_left(bob, project) == 3
    Seat.objects.update(counted_at=Now() - timedelta(minutes=4))
    assert about_left(bob, project) == 5


def test_a_share_of_the_comparisons_is_judged_by_more(bob, project, comparisons):
    made = comparisons(40)
    ask_people(project, 3, percent=50)
    wanted = Counter(Comparison.objects.values_list("wanted", flat=True))
    assert set(wanted) == {1, 3}
    assert 8 < wanted[3] < 32
    ask_people(project, 3, percent=50)
    assert Counter(Comparison.objects.values_list("wanted", flat=True)) == wanted
    ask_people(project, 2, percent=100)
    assert set(Comparison.objects.values_list("wanted", flat=True)) == {2}
    assert len(made) == 40


def test_a_larger_overlap_opens_what_was_done(bob, dora, project, comparisons):
    comparisons()
    judge(bob, next_lease(bob, project))
    assert next_lease(dora, project) is None
    ask_people(project, 2)
    assert next_lease(bob, project) is None
    assert next_lease(dora, project) is not None


def test_other_projects_are_left_alone(bob, project, comparisons):
    (comparison,) = comparisons()
    other = Project.objects.create(name="Other", slug="other")
    assert next_lease(bob, other) is None
    assert list(open_to(bob, project)) == [comparison]


def test_it_knows_what_is_being_sampled(bob, project, policy, add_prompts, sampled):
    first, second = add_prompts("One?", "Two?")
    sampled({first: ["a", "b"], second: ["c", "d"]})
    assert prompts_coming(project) == 0
    job = SamplingJob.objects.get()
    job.items.update(status="pending")
    assert prompts_coming(project) == 0
    Job.objects.filter(pk=job.pk).update(status=Job.Status.RUNNING)
    assert prompts_coming(project) == 2
    SamplingJob.objects.update(purpose=SamplingJob.Purpose.COMPARE)
    assert prompts_coming(project) == 0
