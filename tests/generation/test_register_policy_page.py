import pytest

from generation.models import Registration
from jobs.models import Job

ADDRESS = "/policies/register/"


@pytest.fixture
def page(client, olga):
    client.force_login(olga)
    return client


def test_it_queues_a_registration(page, olga, tmp_path):
    response = page.post(ADDRESS, {"name": "Small", "source": str(tmp_path), "revision": ""})
    assert response.url == ADDRESS
    job = Registration.objects.get()
    assert (job.name, job.source, job.status, job.created_by) == ("Small", str(tmp_path), Job.Status.QUEUED, olga)
    text = page.get(ADDRESS).content.decode()
    assert "Small" in text
    assert 'hx-trigger="every 2s"' in text


def test_it_shows_why_a_registration_failed(page):
    page.post(ADDRESS, {"name": "Small", "source": "org/none"})
    Job.objects.update(status=Job.Status.FAILED, error="org/none cannot be used as a policy. It has no weights.")
    text = page.get(ADDRESS, headers={"HX-Request": "true", "HX-Target": "registrations"}).content.decode()
    assert "It has no weights." in text
    assert "hx-trigger" not in text


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"source": "org/name"}, "name", "Give it a name."),
        ({"name": "x"}, "source", "Give a folder on this machine or a hub id such as org/name."),
        (
            {"name": "x", "source": "/no/such/folder"},
            "source",
            "There is no folder /no/such/folder. Give a checkpoint's folder, or a hub id such as org/name.",
        ),
        (
            {"name": "Tiny base", "source": "org/name"},
            "name",
            "There is a policy called “Tiny base” already. Choose another name.",
        ),
    ],
)
def test_it_says_what_is_wrong(page, policy, values, field, message):
    response = page.post(ADDRESS, values)
    assert response.context["form"].errors[field] == [message]
    assert not Registration.objects.exists()


def test_queries(page, django_assert_num_queries):
    for name in ("a", "b", "c"):
        page.post(ADDRESS, {"name": name, "source": "org/name"})
    # 1 session, 2 person; registrations: 3 count, 4 page
    with django_assert_num_queries(4):
        page.get(ADDRESS)
