"""Operators see all accounts, deactivate and reactivate them."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from projects.access import add_member
from projects.invitations import Closed, accept, invite
from projects.models import Membership, Project
from tests.conftest import PASSWORD

URL = "/people/"


def deactivate_url(user) -> str:
    return f"{URL}{user.pk}/deactivate/"


def reactivate_url(user) -> str:
    return f"{URL}{user.pk}/reactivate/"


def is_active(user) -> bool:
    return User.objects.get(pk=user.pk).is_active


@pytest.fixture
def operator(client, olga):
    client.force_login(olga)
    return client


def names(page) -> list[str]:
    return [person.username for person in page.context["page"]]


def test_it_works(operator, project, charlie):
    add_member(Project.objects.create(name="Another", slug="another"), charlie, "annotator")
    page = operator.get(URL)
    assert names(page) == ["alice", "bob", "charlie", "dora", "olga"]
    assert '<a href="/p/plain/people/">Plain answers</a> (admin)' in page.text
    assert '<a href="/p/another/people/">Another</a></span>' in page.text
    assert "never" in page.text


def test_who_left_a_project_is_not_listed_with_it(operator, bob, project):
    Membership.objects.exclude(user=bob).delete()
    assert "Plain answers" in operator.get(URL).text
    Membership.objects.update(left_at="2026-01-01T00:00Z")
    assert "Plain answers" not in operator.get(URL).text


def test_it_is_searched_and_filtered(operator, project, charlie, bob):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert names(operator.get(URL, {"search": "AL"})) == ["alice"]
    assert names(operator.get(URL, {"state": "deactivated"})) == ["bob"]
    assert "bob" not in names(operator.get(URL, {"state": "active"}))
    assert "No account fits." in operator.get(URL, {"search": "nobody"}).text
    assert len(names(operator.get(URL, {"state": "nonsense"}))) == 5


def test_it_is_paged_and_its_queries_do_not_grow(operator, project, django_assert_num_queries):
    for number in range(30):
        add_member(project, User.objects.create(username=f"person{number:02}"), "annotator")
    # Session, person; number of accounts, the accounts, their memberships.
    with django_assert_num_queries(5):
        assert "1 to 25 of 34" in operator.get(URL).text


def test_deactivating_asks_first_and_says_what_becomes_of_their_work(operator, bob, project):
    page = operator.get(deactivate_url(bob))
    assert "Deactivate bob?" in page.text
    assert "What they judged stays and counts." in page.text
    assert "No other admin" not in page.text
    assert is_active(bob)


def test_it_warns_of_projects_without_another_admin(operator, alice, bob, project):
    assert "No other admin:</b> Plain answers." in operator.get(deactivate_url(alice)).text
    add_member(project, bob, "admin")
    assert "No other admin" not in operator.get(deactivate_url(alice)).text
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert "No other admin" in operator.get(deactivate_url(alice)).text


def test_a_deactivated_person_is_out_at_once_and_cannot_sign_in(operator, bob, project, left):
    theirs = Client()
    theirs.force_login(bob)
    assert theirs.get("/p/plain/judge/").status_code == 200
    page = operator.post(deactivate_url(bob), follow=True)
    assert "bob is deactivated and signed out everywhere. What they judged stays." in page.text
    assert left == [(None, bob)]
    assert theirs.get("/p/plain/judge/").headers["Location"] == "/sign-in/?next=/p/plain/judge/"
    page = theirs.post("/sign-in/", {"username": "bob", "password": PASSWORD})
    assert "This account is deactivated. An operator can reactivate it." in page.text
    page = theirs.post("/sign-in/", {"username": "bob", "password": "wrong"})
    assert "deactivated" not in page.text
    assert Membership.objects.get(user=bob).left_at is None


def test_a_reactivated_person_is_back_in_their_projects(operator, client, bob, project):
    operator.post(deactivate_url(bob))
    page = operator.post(reactivate_url(bob), follow=True)
    assert "bob can sign in again and is in their projects as before." in page.text
    client.logout()
    client.post("/sign-in/", {"username": "bob", "password": PASSWORD})
    assert client.get("/p/plain/judge/").status_code == 200


def test_nobody_deactivates_themselves(operator, olga, left):
    page = operator.post(deactivate_url(olga), follow=True)
    assert "You cannot deactivate your own account. Ask another operator to do it." in page.text
    assert is_active(olga)
    assert left == []
    assert deactivate_url(olga) not in page.text


def test_their_links_end(operator, alice, charlie, project):
    link = invite(project, alice, role="admin", days=1, most_uses=None)
    operator.post(deactivate_url(alice))
    with pytest.raises(Closed, match="The link was withdrawn."):
        accept(link, charlie)


def test_nobody_is_404(operator):
    assert operator.get(f"{URL}999999/deactivate/").status_code == 404
    assert operator.post(f"{URL}999999/reactivate/").status_code == 404


def test_it_is_for_operators(client, alice, bob, project):
    assert client.get(URL).headers["Location"] == "/sign-in/?next=/people/"
    client.force_login(alice)
    assert client.get(URL).status_code == 403
    assert client.get(deactivate_url(bob)).status_code == 403
    assert client.post(deactivate_url(bob)).status_code == 403
    assert client.post(reactivate_url(bob)).status_code == 403
    assert is_active(bob)


def test_it_requires_the_right_method(operator, bob):
    assert operator.post(URL).status_code == 405
    assert operator.get(reactivate_url(bob)).status_code == 405
    assert operator.put(deactivate_url(bob)).status_code == 405
