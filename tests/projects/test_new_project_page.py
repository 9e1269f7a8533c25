"""An operator makes a project."""

import pytest

from projects.forms import free_slug
from projects.models import Project

URL = "/projects/new/"
TYPED = {
    "name": "Cooking help",
    "description": "What to cook today.",
    "mode": "rank",
    "answers_per_comparison": "4",
    "overlap": "2",
    "held_out_percent": "20",
}


def test_it_works(client, olga):
    client.force_login(olga)
    assert "Make the project" in client.get(URL).text
    answer = client.post(URL, TYPED)
    assert answer.headers["Location"] == "/p/cooking-help/prompts/"
    project = Project.objects.get()
    assert {name: str(getattr(project, name)) for name in TYPED} == TYPED
    assert client.get(answer.headers["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "Give the project a name."),
        ("name", "Plain answers", "Another project has this name. Choose one that tells them apart."),
        ("answers_per_comparison", "1", "Give a whole number from 2 to 8."),
        ("answers_per_comparison", "9", "Give a whole number from 2 to 8."),
        ("answers_per_comparison", "-1", "Give a whole number from 2 to 8."),
        ("answers_per_comparison", "two", "Give a whole number from 2 to 8."),
        ("overlap", "0", "Give a whole number from 1 to 10."),
        ("held_out_percent", "91", "Give a whole number from 0 to 90."),
        ("held_out_percent", "", "Give a whole number from 0 to 90."),
    ],
)
def test_it_rejects_a_bad_value_and_keeps_the_others(client, olga, project, field, value, message):
    client.force_login(olga)
    page = client.post(URL, {**TYPED, field: value})
    assert page.context["form"].errors == {field: [message]}
    assert 'value="What to cook today."' in page.text
    assert f'id="id_{field}_error"' in page.text
    assert Project.objects.get() == project


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Plain answers", "plain-answers"), ("plain", "plain-2"), ("質問", "project"), ("x" * 80, "x" * 70), ("C++", "c")],
)
def test_a_slug_follows_from_the_name(project, name, slug):
    assert free_slug(name) == slug


def test_a_slug_passes_over_all_that_are_taken(project):
    Project.objects.create(name="Other", slug="plain-2")
    Project.objects.create(name="Plainer", slug="plainer")
    assert free_slug("Plain") == "plain-3"


def test_it_requires_an_operator(client, alice, project):
    client.force_login(alice)
    assert client.get(URL).status_code == 403
    assert client.post(URL, TYPED).status_code == 403
    assert Project.objects.count() == 1


def test_it_requires_sign_in(client, db):
    assert client.get(URL).headers["Location"] == "/sign-in/?next=/projects/new/"


def test_it_requires_get_or_post(client, olga):
    client.force_login(olga)
    assert client.put(URL).status_code == 405
