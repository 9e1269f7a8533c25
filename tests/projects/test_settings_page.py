"""A project's settings and its guidelines."""

import pytest

from projects.models import Guidelines, Project

URL = "/p/plain/settings/"
BEFORE = "Choose the answer you would **rather** have been given."


def typed(**changes: str) -> dict[str, str]:
    return {
        "name": "Plain answers",
        "description": "",
        "mode": "best",
        "answers_per_comparison": "2",
        "overlap": "1",
        "held_out_percent": "10",
        "guidelines": BEFORE,
        **changes,
    }


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


def test_it_works(admin, project):
    page = admin.get(URL)
    assert BEFORE in page.text
    assert "Version 1," in page.text
    changed = typed(name="Plainer answers", mode="rank", answers_per_comparison="4", overlap="3", held_out_percent="0")
    page = admin.post(URL, changed, follow=True)
    assert "Saved." in page.text
    project.refresh_from_db()
    assert (project.name, project.mode, project.answers_per_comparison) == ("Plainer answers", "rank", 4)
    assert (project.overlap, project.held_out_percent, project.slug) == (3, 0, "plain")


def test_a_change_of_the_guidelines_is_their_next_version(admin, project):
    page = admin.post(URL, typed(guidelines="Shorter\r\nis better."), follow=True)
    assert "Saved. The guidelines are version 2 now." in page.text
    assert list(project.guideline_versions.order_by("version").values_list("version", "text")) == [
        (1, BEFORE),
        (2, "Shorter\nis better."),
    ]


@pytest.mark.parametrize("sent", ["One.\r\n\r\nTwo.", "One.\n\nTwo.\n", " One.\r\n\r\nTwo. "])
def test_unchanged_guidelines_make_no_version(admin, project, sent):
    project.guideline_versions.create(version=2, text="One.\n\nTwo.\n")
    admin.post(URL, typed(guidelines=sent))
    assert project.guideline_versions.count() == 2


def test_a_project_without_guidelines_gets_its_first(admin, project):
    project.guideline_versions.all().delete()
    admin.post(URL, typed(guidelines=""))
    assert not Guidelines.objects.exists()
    admin.post(URL, typed())
    assert Guidelines.objects.get().version == 1


def test_it_rejects_a_bad_value_and_keeps_what_was_typed(admin, project):
    page = admin.post(URL, typed(name="New name", overlap="0", guidelines="Half a day of writing."))
    assert page.context["form"].errors == {"overlap": ["Give a whole number from 1 to 10."]}
    assert "Half a day of writing." in page.text
    assert 'value="New name"' in page.text
    assert "<title>Settings · Plain answers</title>" in page.text
    assert Project.objects.get().name == "Plain answers"
    assert Guidelines.objects.count() == 1


def test_it_rejects_the_name_of_another_project(admin):
    Project.objects.create(name="Other", slug="other")
    page = admin.post(URL, typed(name="Other"))
    assert page.context["form"].errors == {"name": ["Another project has this name. Choose one that tells them apart."]}


def test_each_setting_says_from_when_it_counts(admin):
    text = admin.get(URL).text
    assert "Counts for prompts imported from now on." in text
    assert "Counts for answers sampled from now on." in text


def test_it_is_for_admins(client, bob, charlie, project):
    assert client.get(URL).headers["Location"] == f"/sign-in/?next={URL}"
    client.force_login(charlie)
    assert client.get(URL).status_code == 404
    client.force_login(bob)
    assert client.get(URL).status_code == 403
    assert client.post(URL, typed(name="Mine now")).status_code == 403
    assert Project.objects.get().name == "Plain answers"


def test_it_requires_get_or_post(admin):
    assert admin.put(URL).status_code == 405
