"""People who press at the same moment."""

import pytest
from django.contrib.auth.models import User

from projects.access import add_member
from projects.accounts import deactivate
from projects.invitations import Closed, accept, invite
from projects.models import Invitation, Membership, Project
from projects.people import Refused, leave
from tests.threads import together

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def project(transactional_db):
    return Project.objects.create(name="Plain answers", slug="plain")


@pytest.fixture
def maker(transactional_db):
    return User.objects.create(username="maker", is_staff=True)


def people(count: int) -> list[User]:
    return [User.objects.create(username=f"person{number}") for number in range(count)]


def tried(call, *arguments):
    """Return a call that gives back what was returned, or the refusal."""

    def attempt():
        try:
            return call(*arguments)
        except Refused as refused:
            return refused

    return attempt


def test_a_link_for_two_lets_two_of_six_in(project, maker):
    link = invite(project, maker, role="annotator", days=1, most_uses=2)
    results = together(*(tried(accept, link, person) for person in people(6)))
    assert sorted(map(str, results)).count("True") == 2
    assert sum(isinstance(result, Closed) for result in results) == 4
    assert Invitation.objects.get().uses == 2
    assert Membership.objects.count() == 2


def test_a_press_pressed_four_times_takes_one_use(project, maker):
    link = invite(project, maker, role="annotator", days=1, most_uses=None)
    (person,) = people(1)
    results = together(*(tried(accept, link, person) for _ in range(4)))
    assert sorted(map(str, results)) == ["False", "False", "False", "True"]
    assert Invitation.objects.get().uses == 1


def test_of_operators_who_deactivate_each_other_one_remains(maker):
    other = User.objects.create(username="other", is_staff=True)
    results = together(tried(deactivate, maker, other), tried(deactivate, other, maker))
    assert sum(isinstance(result, Refused) for result in results) == 1
    assert User.objects.filter(is_staff=True, is_active=True).count() == 1


def test_of_six_admins_who_leave_at_once_one_remains(project):
    parts = [add_member(project, person, "admin") for person in people(6)]
    results = together(*(tried(leave, part) for part in parts))
    assert sum(isinstance(result, Refused) for result in results) == 1
    assert Membership.objects.filter(left_at=None).count() == 1
