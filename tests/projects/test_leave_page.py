"""A person leaves a project of their own will."""

import pytest

from annotate.judging import best_of, record
from annotate.models import PreferencePair
from projects.access import add_member
from projects.models import Membership, Project

URL = "/p/plain/leave/"


def part(user) -> Membership:
    return Membership.objects.get(user=user, project__slug="plain")


def test_it_works(client, bob, project, left):
    client.force_login(bob)
    page = client.get(URL)
    assert "Leave Plain answers?" in page.text
    assert "What you judged stays and counts, under your name." in page.text
    assert part(bob).left_at is None
    page = client.post(URL, follow=True)
    assert page.redirect_chain == [("/", 302)]
    assert "You have left Plain answers. What you judged stays." in page.text
    assert (part(bob).left_at is not None, part(bob).removed) == (True, False)
    assert left == [(project, bob)]
    assert client.get("/p/plain/judge/").status_code == 404


def test_what_they_judged_stays(client, bob, add_prompts, sampled):
    (comparison,) = sampled({add_prompts("One?")[0]: ["yes", "no"]})
    record(bob, comparison, best_of(0, 2), shown=[0, 1], client_key="key")
    client.force_login(bob)
    client.post(URL)
    assert PreferencePair.objects.current().count() == 1


def test_the_last_admin_cannot(client, alice, project, left):
    client.force_login(alice)
    page = client.post(URL, follow=True)
    assert "alice is the last admin. Make somebody else an admin first." in page.text
    assert (part(alice).left_at, left) == (None, [])


def test_an_admin_beside_another_can(client, alice, olga, project):
    add_member(project, olga, "admin")
    client.force_login(alice)
    client.post(URL)
    assert part(alice).left_at is not None


def test_the_people_page_links_to_it_for_oneself(client, alice, project):
    client.force_login(alice)
    assert client.get("/p/plain/people/").text.count(f'href="{URL}"') == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_it_is_for_members(client, charlie, olga, bob, project, method):
    assert getattr(client, method)(URL).headers["Location"].startswith("/sign-in/?next=")
    for stranger in (charlie, olga):
        client.force_login(stranger)
        assert getattr(client, method)(URL).status_code == 404
    client.force_login(bob)
    client.post(URL)
    assert getattr(client, method)(URL).status_code == 404  # twice
    assert Project.objects.get().memberships.filter(left_at=None).count() == 2


def test_it_requires_get_or_post(client, bob, project):
    client.force_login(bob)
    assert client.put(URL).status_code == 405
