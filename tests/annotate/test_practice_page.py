"""Practice with feedback, before the first judgement and again later."""

import re

import pytest
from django.db.models import F
from django.urls import reverse

from annotate.gold import add, take_out
from annotate.judging import best_of
from annotate.masks import unmask
from annotate.models import Comparison, Judgement, Lease, Practised, PreferencePair, Revision, Seat
from annotate.review import settle
from tests.annotate.saying import say

URL, JUDGE = "/p/plain/practice/", "/p/plain/judge/"


@pytest.fixture
def practice(alice, project, comparisons):
    """Two to practise on, of three that admins have marked; the first answer stored is the better one."""
    originals = comparisons(3)
    for comparison in originals:
        settle(comparison, best_of(0, 2, reason="It is <i>shorter</i>"), alice, [0, 1])
    Comparison.objects.update(judged=F("wanted"))
    comparisons(1)
    project.practice_count = 2
    project.save()
    return add(originals, "practice", alice)


@pytest.fixture
def bobs(client, bob, project):
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    return client


def hidden(page, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', page.text)[1]


def choose(client, page, better: bool):
    """Choose the answer that the admins chose, or the other one."""
    comparison = unmask(re.search(r'data-comparison="(\w+)"', page.text)[1])
    texts = [answer.text for answer in page.context["answers"]]
    expected = Comparison.objects.get(pk=comparison).answers.get(number=0).completion.text
    number = 1 + (texts.index(expected) if better else 1 - texts.index(expected))
    sent = {"choice": str(number), "seen": hidden(page, "seen"), "client_key": hidden(page, "client_key")}
    return client.post(reverse("practise", args=["plain", comparison]), sent, follow=True)


def test_it_works(bobs, bob, practice):
    page = bobs.get(JUDGE, follow=True)
    assert page.redirect_chain == [(URL, 302)]
    assert "Practice 1 of 2." in page.text
    page = choose(bobs, page, better=True)
    assert "You chose as the admins did" in page.text
    assert "It is &lt;i&gt;shorter&lt;/i&gt;" in page.text
    page = bobs.get(URL)
    assert "Practice 2 of 2." in page.text
    page = choose(bobs, page, better=False)
    assert "You and the admins chose otherwise" in page.text
    said, expected = re.findall(r"<dd>(Answer \d)</dd>", page.text)
    assert said != expected
    page = bobs.get(URL)
    assert "Practice is done" in page.text
    assert "in 1 of 2" in page.text
    assert bobs.get(JUDGE).status_code == 200


def test_nothing_counts(bobs, bob, practice):
    choose(bobs, bobs.get(URL), better=True)
    assert not Judgement.objects.votes().exists()
    assert not PreferencePair.objects.filter(revision__person=bob).exists()
    assert not Revision.objects.filter(person=bob).exists()
    assert not Lease.objects.exists()


def test_what_is_said_in_practice_is_never_taken_for_a_judgement(bobs, practice):
    page = bobs.get(URL)
    comparison = unmask(re.search(r'data-comparison="(\w+)"', page.text)[1])
    sent = {"choice": "1", "seen": hidden(page, "seen"), "client_key": hidden(page, "client_key")}
    assert bobs.post(reverse("submit", args=["plain", comparison]), sent).status_code == 404
    assert not Judgement.objects.votes().exists()


def test_the_first_word_holds(bobs, practice):
    page = bobs.get(URL)
    choose(bobs, page, better=False)
    page = choose(bobs, page, better=True)
    assert "You and the admins chose otherwise" in page.text
    assert Practised.objects.count() == 1


def test_it_can_be_repeated(bobs, bob, practice):
    for _ in range(2):
        choose(bobs, bobs.get(URL), better=True)
    done = Seat.objects.get(person=bob).practised_at
    assert done
    assert "Practise</button>" in bobs.get(f"{JUDGE}mine/").text
    page = bobs.post(f"{URL}again/", follow=True)
    assert "Practice 1 of 2." in page.text
    assert bobs.get(JUDGE).status_code == 200  # whoever has practised may judge meanwhile
    choose(bobs, page, better=False)
    assert Practised.objects.filter(person=bob).count() == 3
    assert Seat.objects.get(person=bob).practised_at == done


def test_who_has_judged_before_is_not_made_to_practise(bobs, bob, practice):
    say(bob, Comparison.objects.filter(purpose="train").last(), best_of(0, 2))
    assert bobs.get(JUDGE).status_code == 200


def test_admins_are_not_made_to_practise(client, alice, practice):
    client.force_login(alice)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    assert client.get(JUDGE).status_code == 200


@pytest.mark.parametrize("count", [0, 2])
def test_without_practice_nobody_waits(bobs, alice, project, practice, count):
    project.practice_count = count
    project.save()
    if count:
        for comparison in practice:
            take_out(comparison.check_made, alice)
    assert bobs.get(JUDGE).status_code == 200
    assert "Nothing to practise" in bobs.get(URL).text
    assert "Practise</button>" not in bobs.get(f"{JUDGE}mine/").text


def test_it_rejects_a_choice_that_is_none(bobs, practice):
    page = bobs.get(URL)
    sent = {"choice": "9", "seen": hidden(page, "seen"), "client_key": hidden(page, "client_key")}
    page = bobs.post(reverse("practise", args=["plain", practice[0].pk]), sent)
    assert "“9” is none of 1 to 2" in page.text
    assert not Practised.objects.exists()


def test_what_is_no_practice_is_not_found(bobs, practice):
    real = Comparison.objects.filter(purpose="train").last()
    assert bobs.post(reverse("practise", args=["plain", real.pk])).status_code == 404
    assert bobs.get(reverse("practice_feedback", args=["plain", real.pk])).status_code == 302
