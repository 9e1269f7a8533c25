"""The list of a person's projects."""

from datetime import timedelta

from django.db.models.functions import Now
from django.urls import reverse

from annotate.judging import Choice, best_of, record
from annotate.models import Lease, Revision
from annotate.queue import left_for, next_lease
from projects.access import add_member
from projects.models import Membership, Project
from tests.people import ask_people
from web.home import waiting_for

URL = "/"


def judge(person, project, key="key"):
    lease = next_lease(person, project)
    return record(person, lease.comparison, best_of(0, 2), shown=lease.shown, client_key=key)


def test_it_works(client, bob, project, add_prompts, sampled):
    prompts = add_prompts("One?", "Two?")
    sampled({prompt: ["yes", "no"] for prompt in prompts})
    client.force_login(bob)
    page = client.get(URL)
    assert [(entry.project, entry.role, entry.to_judge) for entry in page.context["entries"]] == [
        (project, "annotator", 2)
    ]
    assert "<b>2</b> to judge" in page.text
    assert reverse("judge", args=["plain"]) in page.text
    assert "New project" not in page.text


def test_a_stranger_sees_no_project_and_what_to_do(client, charlie, project):
    client.force_login(charlie)
    page = client.get(URL)
    assert "You are in no project yet" in page.text
    assert "Plain answers" not in page.text


def test_somebody_who_left_sees_it_no_more(client, bob, project):
    Membership.objects.filter(user=bob).update(left_at=Now())
    client.force_login(bob)
    assert "Plain answers" not in client.get(URL).text


def test_an_operator_sees_all_and_may_make_one(client, olga, project):
    client.force_login(olga)
    page = client.get(URL)
    assert page.context["entries"][0].role == "operator"
    assert reverse("new_project") in page.text


def test_an_operator_without_projects_is_told_to_make_one(client, olga):
    client.force_login(olga)
    assert "No project yet" in client.get(URL).text


def test_what_waits_is_counted_as_the_queue_counts_it(project, bob, dora, alice, add_prompts, sampled):
    """One query for all projects says the same as `left_for`, whatever was judged, leased or taken back."""
    ask_people(project, 2)
    project.refresh_from_db()
    other = Project.objects.create(name="Other", slug="other")
    prompts = add_prompts(*(f"Question {number}?" for number in range(6)))
    sampled({prompt: ["yes", "no"] for prompt in prompts})
    judge(bob, project)
    judge(dora, project)
    judged = judge(alice, project)
    record(alice, judged.judgement.comparison, Choice(Revision.Kind.WITHDRAWN), shown=[0, 1], client_key="back")
    next_lease(dora, project)
    next_lease(alice, project)
    Lease.objects.filter(person=alice).update(expires_at=Now() - timedelta(minutes=1))
    for person in (alice, bob, dora):
        counted = waiting_for(person, [project, other])
        assert counted.get(project.pk, 0) == left_for(person, project) > 0
        assert other.pk not in counted


def test_it_is_paged(client, olga, db):
    Project.objects.bulk_create(Project(name=f"Project {number:02}", slug=f"p{number}") for number in range(26))
    client.force_login(olga)
    assert "Project 25" not in client.get(URL).text
    page = client.get(URL, {"page": 2})
    assert "Project 25" in page.text
    assert "26 to 26 of 26" in page.text


def test_its_queries_do_not_grow_with_projects(client, bob, project, django_assert_num_queries):
    for number in range(5):
        add_member(Project.objects.create(name=f"P{number}", slug=f"p{number}"), bob, Membership.Role.ANNOTATOR)
    client.force_login(bob)
    # Session, person, number of projects, the projects, the roles in them, what waits in them, what lies before them.
    with django_assert_num_queries(7):
        client.get(URL)


def test_it_requires_sign_in(client, db):
    assert client.get(URL).headers["Location"] == "/sign-in/?next=/"


def test_it_requires_get(client, bob):
    client.force_login(bob)
    assert client.post(URL).status_code == 405
