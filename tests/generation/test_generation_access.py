import pytest
from django.urls import reverse

from generation.engine import Parameters
from generation.sampling import create_sampling_job


@pytest.fixture
def job(project, policy, add_prompts):
    return create_sampling_job(
        project, [policy], add_prompts("Why?"), parameters=Parameters(2, 1.0, 1.0, 0, 64), seed=1
    )


PAGES = ("sampling", "sampling_job", "policies")
ACTIONS = ("cancel_sampling", "resume_sampling")


def address(name, project, job):
    return reverse(name, args=[project.slug, job.pk] if "_" in name else [project.slug])


@pytest.mark.parametrize("name", PAGES + ACTIONS)
def test_the_anonymous_are_sent_to_sign_in(client, project, job, name):
    method = client.post if name in ACTIONS else client.get
    response = method(address(name, project, job))
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES + ACTIONS)
@pytest.mark.parametrize(("person", "status"), [("charlie", 404), ("bob", 403)])
def test_only_admins_come_in(client, request, project, job, name, person, status):
    client.force_login(request.getfixturevalue(person))
    method = client.post if name in ACTIONS else client.get
    assert method(address(name, project, job)).status_code == status
    job.refresh_from_db()
    assert job.status == job.Status.QUEUED


@pytest.mark.parametrize("name", PAGES + ACTIONS)
def test_other_methods_are_refused(client, alice, project, job, name):
    client.force_login(alice)
    method = client.get if name in ACTIONS else client.put
    assert method(address(name, project, job)).status_code == 405


def test_a_job_of_another_project_is_not_found(client, alice, job):
    from projects.access import add_member
    from projects.models import Project

    other = Project.objects.create(name="Other", slug="other")
    add_member(other, alice, "admin")
    client.force_login(alice)
    assert client.get(reverse("sampling_job", args=["other", job.pk])).status_code == 404


@pytest.mark.parametrize(("person", "status"), [("alice", 403), ("bob", 403), ("charlie", 403), ("olga", 200)])
def test_registering_is_for_operators(client, request, person, status):
    client.force_login(request.getfixturevalue(person))
    assert client.get(reverse("register_policy")).status_code == status


def test_registering_needs_signing_in_and_refuses_other_methods(client, olga):
    assert client.get(reverse("register_policy")).url.startswith(reverse("login"))
    client.force_login(olga)
    assert client.put(reverse("register_policy")).status_code == 405
