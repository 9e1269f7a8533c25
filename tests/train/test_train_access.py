import pytest
from django.urls import reverse

PAGES = ("rounds", "launch_round", "round", "evaluation", "datasets", "freeze_dataset", "download_dataset")
ACTIONS = ("cancel_round", "resume_round", "freeze_again")
ARGUMENTS = {
    "round": [1],
    "cancel_round": [1],
    "resume_round": [1],
    "download_dataset": [1, "train"],
    "freeze_again": [1],
}


def call(client, name):
    method = client.post if name in ACTIONS else client.get
    return method(address(name))


def address(name):
    return reverse(name, args=["plain", *ARGUMENTS.get(name, [])])


@pytest.mark.parametrize("name", PAGES + ACTIONS)
def test_the_anonymous_are_sent_to_sign_in(client, launched, name):
    response = call(client, name)
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES + ACTIONS)
@pytest.mark.parametrize(("person", "status"), [("charlie", 404), ("bob", 403)])
def test_only_admins_come_in(client, request, launched, name, person, status):
    client.force_login(request.getfixturevalue(person))
    assert call(client, name).status_code == status
    launched.refresh_from_db()
    assert launched.status == launched.Status.QUEUED


@pytest.mark.parametrize("name", PAGES + ACTIONS)
def test_other_methods_are_refused(client, alice, launched, name):
    client.force_login(alice)
    method = client.get if name in ACTIONS else client.put
    assert method(address(name)).status_code == 405


def test_a_round_that_is_not_there_is_not_found(client, alice, launched):
    client.force_login(alice)
    assert client.get(reverse("round", args=["plain", 2])).status_code == 404
