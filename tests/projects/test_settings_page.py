"""A project's settings and its guidelines."""

import pytest

from annotate.models import Comparison
from projects.models import Guidelines, Project, usual_flags

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
        "overlap_percent": "100",
        "gold_percent": "0",
        "repeat_percent": "0",
        "practice_count": "0",
        "guidelines": BEFORE,
        "flag_reasons": "\r\n".join(usual_flags()),
        "content_warning": "",
        **changes,
    }


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


def test_it_works(admin, project):
    page = admin.get(URL)
    assert BEFORE in page.text
    assert "How version 1 looks," in page.text
    assert "<strong>rather</strong>" in page.text
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


def test_an_error_far_down_is_named_at_the_top(admin):
    page = admin.post(URL, typed(flag_reasons="", overlap="11"))
    assert "Nothing was saved." in page.text
    assert '<a class="listed" href="#id_flag_reasons">Reasons to flag an answer</a>' in page.text
    assert '<a class="listed" href="#id_overlap">' in page.text


def test_what_people_are_asked_for_is_switched_on_and_off(admin, project):
    admin.post(URL, typed(asks_strength="on", asks_quality="on", asks_reason="on"))
    project.refresh_from_db()
    assert (project.asks_strength, project.asks_quality, project.asks_reason) == (True, True, True)
    admin.post(URL, typed(asks_quality="on"))
    project.refresh_from_db()
    assert (project.asks_strength, project.asks_quality, project.asks_reason) == (False, True, False)


@pytest.mark.parametrize(
    ("overlap", "percent", "sentence"),
    [
        ("1", "20", "One person judges each comparison."),
        ("3", "0", "One person judges each comparison."),
        ("3", "100", "3 people judge each comparison."),
        ("3", "20", "3 people judge 20% of the comparisons, one person each of the others."),
    ],
)
def test_it_says_who_judges_what_and_it_holds_at_once(admin, add_prompts, sampled, overlap, percent, sentence):
    prompts = add_prompts(*(f"Prompt {number}?" for number in range(30)))
    comparisons = sampled({prompt: ["yes", "no"] for prompt in prompts})
    page = admin.post(URL, typed(overlap=overlap, overlap_percent=percent), follow=True)
    assert f"Now: {sentence}" in page.text
    wanted = {comparison.pk: wanted_of(comparison, int(overlap), int(percent)) for comparison in comparisons}
    assert dict(Comparison.objects.values_list("pk", "wanted")) == wanted


def wanted_of(comparison: Comparison, overlap: int, percent: int) -> int:
    return overlap if comparison.shuffle % 100 < percent else 1


def test_flag_reasons_are_lines(admin, project):
    assert "It is broken or cut off\nIt gives away" in admin.get(URL).text
    admin.post(URL, typed(flag_reasons=" Harmful \r\n\r\nBroken, or <b>cut</b> off\r\n"))
    project.refresh_from_db()
    assert project.flag_reasons == ["Harmful", "Broken, or <b>cut</b> off"]
    assert "Broken, or &lt;b&gt;cut&lt;/b&gt; off" in admin.get(URL).text


@pytest.mark.parametrize(
    ("reasons", "message"),
    [
        (" \r\n ", "Give at least one reason, such as: It is broken or cut off"),
        ("\n".join("abcdefghi"), "Give at most 8 reasons; there are 9."),
        (f"Short\n{'x' * 81}", "Shorten reason 2 to 80 characters; it has 81."),
        ("broken\nHarmful\nBroken", "Reason 3 stands here twice: Broken"),
    ],
)
def test_it_rejects_flag_reasons_that_do_not_fit(admin, project, reasons, message):
    page = admin.post(URL, typed(flag_reasons=reasons))
    assert page.context["form"].errors == {"flag_reasons": [message]}
    project.refresh_from_db()
    assert project.flag_reasons == usual_flags()


def test_a_content_warning_is_kept_as_typed(admin, project):
    admin.post(URL, typed(content_warning="Some answers are cruel.\r\nStop when you like."))
    project.refresh_from_db()
    assert project.content_warning == "Some answers are cruel.\nStop when you like."
    page = admin.post(URL, typed(content_warning="x" * 2001))
    assert page.context["form"].errors == {
        "content_warning": ["Shorten this to 2000 characters; it has 2001."],
    }


@pytest.mark.parametrize("percent", ["", "-1", "101", "half"])
def test_it_rejects_a_share_that_is_none(admin, percent):
    page = admin.post(URL, typed(overlap_percent=percent))
    assert page.context["form"].errors == {"overlap_percent": ["Give a whole number from 0 to 100."]}


def test_it_says_that_times_are_noted(admin):
    assert "Winnow notes when a person opened and answered each comparison" in admin.get(URL).text


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


def test_answers_of_ones_own_are_off_until_switched_on(admin, project):
    assert project.edits is False
    admin.post(URL, typed(edits="on"))
    assert Project.objects.get().edits is True
    admin.post(URL, typed())
    assert Project.objects.get().edits is False
