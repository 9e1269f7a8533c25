"""Who gets what next, in one process. tests/annotate/test_races.py has the threads."""

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from annotate.judging import Choice, Kind, record, take_back, tie
from annotate.models import Comparison, Lease
from annotate.queue import LEASE, held_by_others, lease_to, left_for, next_lease, open_to, prompts_coming
from generation.models import SamplingJob
from jobs.models import Job
from projects.access import add_member
from projects.models import Membership, Project


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
    assert seen == list(Comparison.objects.order_by("shuffle").values_list("pk", flat=True))
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
    project.overlap = overlap
    leases = [next_lease(person, project) for person in (alice, bob, dora)]
    assert sum(lease is not None for lease in leases) == overlap
    for person, lease in zip((alice, bob, dora), leases, strict=True):
        if lease:
            judge(person, lease)
    assert [left_for(person, project) for person in (alice, bob, dora)] == [0, 0, 0]


def test_nobody_gets_what_they_judged(bob, dora, project, comparisons):
    (comparison,) = comparisons()
    project.overlap = 2
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
    held = Lease.objects.filter(person=bob).order_by("opened_at")
    assert [lease.comparison for lease in held] == [lease.comparison for lease in backs[1:]]


def test_the_most_is_over_all_projects(bob, project, comparisons):
    for number in range(3):
        other = Project.objects.create(name=f"Other {number}", slug=f"other-{number}")
        add_member(other, bob, Membership.Role.ANNOTATOR)
        (comparison,) = comparisons()
        Comparison.objects.filter(pk=comparison.pk).update(project=other)
        assert next_lease(bob, other).comparison == comparison
    assert Lease.objects.filter(person=bob).count() == 2


def test_orders_differ_between_people(bob, project, comparisons):
    (comparison,) = comparisons(answers=8)
    orders = set()
    for _ in range(8):
        orders.add(tuple(lease_to(bob, comparison).shown))
        Lease.objects.all().delete()
    assert len(orders) > 1  # one chance in 40,320 for each to be the same


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
