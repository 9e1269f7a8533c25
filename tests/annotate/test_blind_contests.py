"""What a blind A/B asks comes at its share, and nothing tells it from the work around it."""

import random
import re

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from annotate.comparisons import make_evaluation
from annotate.judging import best_of, record, tally
from annotate.masks import mask
from annotate.models import EVALUATION_PLACES, Comparison, Seat, Slot
from annotate.queue import left_for, next_lease
from projects.access import add_member
from projects.models import Membership

EVALUATION = Comparison.Purpose.EVALUATION


@pytest.fixture
def mixed(project, comparisons):
    """Return a function that makes so many comparisons to train on, and so many of a blind A/B at this share."""

    def make(train: int, evaluations: int, percent: int):
        made = comparisons(train + evaluations)
        for comparison in made[train:]:
            first, second = (slot.completion for slot in comparison.answers.order_by("number"))
            Slot.objects.filter(comparison=comparison).delete()
            comparison.delete()
            make_evaluation(project, first, second, random.Random(first.pk))
        project.evaluation_percent = percent
        project.save()

    return make


def judge_next(person, project) -> str:
    """Judge what comes next, and say what it was for."""
    lease = next_lease(person, project)
    record(person, lease.comparison, best_of(0, 2), shown=lease.shown, client_key=f"key {lease.pk}")
    return lease.comparison.purpose


def test_the_share_holds_from_first_to_last_however_much_else_waits(project, mixed):
    """Of 120 draws, give or take three standard errors. By their number alone they would be 2 in 7."""
    mixed(150, 60, 10)
    people = [User.objects.create_user(name, id=number) for name, number in (("ella", 901), ("fay", 902))]
    for person in people:  # with what draws for them known
        add_member(project, person, Membership.Role.ANNOTATOR)
        Seat.objects.create(person=person, project=project, seed=1)
    given = [judge_next(person, project) for _ in range(60) for person in people]
    assert given.count(EVALUATION) == pytest.approx(12, abs=3 * (120 * 0.1 * 0.9) ** 0.5)
    assert EVALUATION in given[:60]
    assert EVALUATION in given[60:]


def test_no_share_is_asked_for_where_none_is_under_way(bob, project, mixed):
    mixed(5, 5, 0)
    assert [judge_next(bob, project) for _ in range(10)] == ["train"] * 5 + ["evaluation"] * 5


def test_they_come_first_at_a_share_of_100(bob, project, mixed):
    mixed(5, 5, 100)
    assert [judge_next(bob, project) for _ in range(10)] == ["evaluation"] * 5 + ["train"] * 5


def test_what_became_free_behind_comes_before_them(bob, project, mixed):
    mixed(4, 4, 0)
    Seat.objects.create(person=bob, project=project, place=EVALUATION_PLACES - 1)
    assert judge_next(bob, project) == "train"


def test_they_leave_the_place_in_the_queue_where_it_was(bob, project, mixed):
    mixed(4, 4, 100)
    judge_next(bob, project)
    assert Seat.objects.get(person=bob).place is None


def test_each_is_judged_by_one_person_whatever_the_overlap(bob, dora, project, mixed):
    project.overlap = 2
    mixed(0, 3, 100)
    assert [judge_next(bob, project) for _ in range(3)] == ["evaluation"] * 3
    assert next_lease(dora, project) is None


def test_they_count_among_what_is_left_like_all_others(bob, project, mixed):
    mixed(3, 3, 50)
    day = timezone.now()
    assert left_for(bob, project) == 6
    for left in (5, 4, 3, 2, 1):
        judge_next(bob, project)
        assert tally(bob, project, day)[1] == left


def test_their_page_is_like_any_other(client, bob, project, mixed):
    """Texts, numbers, masks and tokens aside, the page is the same byte for byte."""
    mixed(2, 2, 100)
    judge_next(bob, project)
    client.force_login(bob)
    client.post("/p/plain/judge/start/", {"guidelines": 1})
    pages = []
    for _ in range(2):
        html = client.get("/p/plain/judge/").content.decode()
        lease = next_lease(bob, project)
        for text in Slot.objects.filter(comparison=lease.comparison).values_list("completion__text", flat=True):
            html = html.replace(text, "TEXT")
        html = html.replace(lease.comparison.prompt.text, "PROMPT").replace(mask(lease.comparison_id), "MASK")
        html = re.sub(r'name="(client_key|seen)" value="[^"]*"|\w{32,}|\d+', "#", html)
        pages.append((lease.comparison.purpose, html))
        record(bob, lease.comparison, best_of(0, 2), shown=lease.shown, client_key=f"key {lease.pk}")
    (one, evaluation), (other, train) = pages
    assert (one, other) == ("evaluation", "train")
    assert evaluation.count("TEXT") >= 2
    assert evaluation == train
