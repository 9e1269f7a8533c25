"""What people are told of how many comparisons are left: it must not tell checks from the work around them."""

import re

import pytest

from annotate.gold import add
from annotate.judging import best_of
from annotate.masks import mask
from annotate.models import Comparison, Revision
from annotate.queue import lease_to
from annotate.review import settle
from tests.annotate.test_judge_page import JUDGE, choose


@pytest.fixture
def bobs(client, bob, project):
    """Bob's browser, the guidelines read."""
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    return client


@pytest.fixture
def checked(alice, project, comparisons):
    """A project with checks, ten comparisons to judge and a gold one: one less would be told as under ten."""
    original = comparisons(1)[0]
    settle(original, best_of(0, 2), alice, [0, 1])
    Comparison.objects.update(judged=1)
    (gold,) = add([original], "gold", alice)
    comparisons(10)
    project.gold_percent = 1
    project.save()
    return gold


def tally(html: str) -> str:
    return re.search(r"<b>([^<]*)</b> left", html)[1]


def test_what_is_left_does_not_tell_that_it_was_a_check(bobs, bob, checked):
    """Neither the tally nor the list of projects tells it, not even after the next count."""
    lease_to(bob, checked)
    page = bobs.get(JUDGE)
    home = bobs.get("/").text
    assert tally(page.text) == "under 20"
    assert 'max="20"' in page.text
    assert "<b>under 20</b> to judge" in home
    reply = choose(bobs, page, "1", script=True)
    assert Revision.objects.votes().get().judgement.comparison == checked
    assert (tally(reply.text), tally(bobs.get(JUDGE).text)) == ("under 20", "under 20")
    assert "<b>under 20</b> to judge" in bobs.get("/").text
    bob.seats.update(counted_at=None)
    assert tally(bobs.get(JUDGE).text) == "under 20"


def test_a_check_after_the_last_real_one_looks_like_another(bobs, bob, checked):
    Comparison.objects.filter(purpose="train").update(judged=1)
    lease_to(bob, checked)
    assert "<b>under 10</b> to judge" in bobs.get("/").text
    page = bobs.get(JUDGE)
    assert f'data-comparison="{mask(checked.pk)}"' in page.text
    assert tally(page.text) == "under 10"
    done = choose(bobs, page, "1", script=True).text
    assert "All done for now" in done
    assert tally(done) == "0"
    assert "Nothing to judge now" in bobs.get("/").text


def test_without_checks_what_is_left_is_exact(bobs, comparisons):
    comparisons(3)
    assert tally(bobs.get(JUDGE).text) == "3"
    assert "<b>3</b> to judge" in bobs.get("/").text
