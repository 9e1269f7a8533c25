"""The admins' pages of what was judged."""

import re
import uuid

import pytest
from django.urls import reverse

from annotate.judging import Choice, Kind, best_of, record
from annotate.models import Exclusion, Revision
from annotate.review import exclude, settle
from annotate.review_forms import BEGINNING
from tests.people import ask_people

URL = "/p/plain/review/"


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def judged(project, bob, dora, comparisons):
    """Bob and Dora disagree on the first of three, Bob flagged the second and gave a reason for the third."""
    ask_people(project, 2)
    made = comparisons(3)
    say(bob, made[0], best_of(0, 2))
    say(dora, made[0], best_of(1, 2))
    say(bob, made[1], Choice(Kind.FLAGGED, flags=("It could hurt somebody",)))
    say(bob, made[2], best_of(0, 2, strength=4, quality="good", reason="Clear <b>and</b> right"))
    return made


def say(person, comparison, choice):
    shown = list(range(comparison.slots))
    seen = {"shown": shown, "seconds": 12.4, "guidelines": comparison.project.guidelines().pk}
    return record(person, comparison, choice, client_key=str(uuid.uuid4()), **seen)


def listed(page) -> list[str]:
    return [f"Question {number}" for number in re.findall(r">Question (\d+)\?</a>", page.content.decode())]


def test_it_works(admin, judged):
    page = admin.get(URL)
    html = page.content.decode()
    assert listed(page) == ["Question 3", "Question 2", "Question 1", "Question 1"]
    assert "Answer 1, significantly better; winner good" in html
    assert "“Clear &lt;b&gt;and&lt;/b&gt; right”" in html
    assert "It could hurt somebody" in html
    assert html.count("disagreement</span>") == 2
    assert "12 s" in html
    assert "4 judgements" in html


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"show": "opposed"}, ["Question 1", "Question 1"]),
        ({"show": "flagged"}, ["Question 2"]),
        ({"show": "reason"}, ["Question 3"]),
        ({"show": "settled"}, []),
        ({"show": "left_out"}, []),
        ({"search": "question 2"}, ["Question 2"]),
        ({"order": "oldest"}, ["Question 1", "Question 1", "Question 2", "Question 3"]),
        ({"order": "longest", "search": "3"}, ["Question 3"]),
        (
            {"show": "nonsense", "person": "x", "order": "y", "page": "z", "search": "2"},
            ["Question 2"],
        ),
    ],
)
def test_it_can_be_filtered_and_sorted(admin, judged, query, found):
    assert listed(admin.get(URL, query)) == found


def test_it_can_be_one_persons(admin, judged, dora):
    assert listed(admin.get(URL, {"person": dora.pk})) == ["Question 1"]


def test_it_is_paged(admin, project, bob, comparisons):
    for comparison in comparisons(30):
        say(bob, comparison, Choice(Kind.BOTH_BAD))
    page = admin.get(URL)
    assert len(listed(page)) == 25
    assert "1 to 25 of 30" in page.content.decode()
    assert len(listed(admin.get(URL, {"page": 2}))) == 5


def test_nothing_judged_and_nothing_found_say_so(admin, comparisons):
    comparisons()
    assert "Nothing was judged yet." in admin.get(URL).content.decode()
    assert "No judgement fits." in admin.get(URL, {"show": "late"}).content.decode()


def test_the_list_takes_so_many_queries_whatever_it_shows(admin, judged, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        admin.get(URL)


# ---- one comparison


def seen(page) -> str:
    return re.search(r'name="seen" value="([^"]*)"', page.content.decode())[1]


def test_a_comparison_shows_all_that_was_said(admin, judged, policy):
    page = admin.get(reverse("review_comparison", args=["plain", judged[0].pk]))
    html = page.content.decode()
    assert re.findall(r"(?:Answer \d)(?=</td>|\s)", html)
    assert "2 of 2 judgements" in html
    assert str(policy) in html  # for admins, behind a question
    assert "guidelines 1" in html


def test_settling_and_taking_it_back(admin, alice, judged):
    url = reverse("review_comparison", args=["plain", judged[0].pk])
    page = admin.post(f"{url}settle/", {"seen": seen(admin.get(url)), "choice": "2", "reason": "So."}, follow=True)
    html = page.content.decode()
    assert "Settled. It wins over the votes" in html
    assert re.search(r"<b>Answer 2</b>, by alice", html)
    revision = Revision.objects.get(judgement__settles=True)
    assert (revision.tiers, revision.reason) == ([[1], [0]], "So.")
    assert listed(admin.get(URL, {"show": "settled"})) == ["Question 1", "Question 1"]
    html = admin.post(f"{url}unsettle/", follow=True).content.decode()
    assert "The settlement is taken back: the votes count again." in html
    assert "Settle it" in html


def test_a_settlement_sent_twice_is_one(admin, judged):
    url = reverse("review_comparison", args=["plain", judged[0].pk])
    page = admin.get(url)
    key = re.search(r'name="client_key" value="([^"]*)"', page.text)[1]
    for _ in range(2):
        admin.post(f"{url}settle/", {"seen": seen(page), "client_key": key, "choice": "2"})
    assert Revision.objects.filter(judgement__settles=True).count() == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"choice": "3"}, "“3” is none of 1 to 2"),
        ({"choice": "skip"}, "A settlement says which answers are better"),
        ({"choice": "1", "seen": "forged"}, "That page was out of date"),
        ({"choice": "rank", "ranking": "1"}, "must place each of the answers"),
    ],
)
def test_it_rejects_what_settles_nothing_and_keeps_the_reason(admin, judged, data, error):
    url = reverse("review_comparison", args=["plain", judged[0].pk])
    html = admin.post(
        f"{url}settle/", {"seen": seen(admin.get(url)), "reason": "Half a page.", **data}
    ).content.decode()
    assert error in html
    assert "Half a page." in html
    assert not Revision.objects.filter(judgement__settles=True).exists()


def test_another_projects_comparison_is_not_there(admin, judged):
    judged[0].project = type(judged[0].project).objects.create(name="Other", slug="other")
    judged[0].save(update_fields=["project"])
    assert admin.get(reverse("review_comparison", args=["plain", judged[0].pk])).status_code == 404


# ---- leaving people out


def test_leaving_somebody_out_is_always_in_sight(admin, alice, bob, project, judged):
    page = admin.post(f"{URL}exclude/", {"person": bob.pk, "reason": "a robot"}, follow=True)
    html = page.content.decode()
    assert "The judgements of bob are left out" in html
    assert "2 judgements of 1 person are left out" in html
    assert "a robot" in html
    assert listed(page) == ["Question 3", "Question 2", "Question 1"]
    for other in ("/p/plain/", "/p/plain/datasets/", reverse("launch_round", args=["plain"])):
        assert "2 judgements of 1 person are left out" in admin.get(other).content.decode(), other
    exclusion = Exclusion.objects.get()
    assert (exclusion.since, exclusion.created_by) == (BEGINNING, alice)
    html = admin.post(f"{URL}exclude/{exclusion.pk}/lift/", follow=True).content.decode()
    assert "The judgements of bob count again." in html
    assert "are left out</b>" not in html
    assert "taken back" in html


def test_from_a_day_on_is_the_admins_own_day(admin, bob, judged):
    admin.cookies["timezone"] = "Pacific/Auckland"
    admin.post(f"{URL}exclude/", {"person": bob.pk, "since": "2026-07-01"})
    assert Exclusion.objects.get().since.isoformat() == "2026-06-30T12:00:00+00:00"


def test_a_day_before_all_judgements_leaves_out_all(admin, bob, judged):
    admin.cookies["timezone"] = "Pacific/Auckland"  # where 0001-01-01 begins in the year before
    page = admin.post(f"{URL}exclude/", {"person": bob.pk, "since": "0001-01-01"}, follow=True)
    assert "The judgements of bob are left out" in page.text
    assert Exclusion.objects.get().since == BEGINNING


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"person": ""}, "Choose a person."),
        ({"person": "99999"}, "out of date"),
        ({"since": "soon"}, "Give a day as 2026-11-21, or nothing."),
        ({"since": "2999-01-01"}, "is still to come"),
    ],
)
def test_it_rejects_what_leaves_nobody_out(admin, bob, judged, data, error):
    html = admin.post(f"{URL}exclude/", {"person": bob.pk, **data}, follow=True).content.decode()
    assert error in html
    assert not Exclusion.objects.exists()


def test_nobody_is_left_out_twice(admin, alice, bob, project, judged):
    exclude(project, bob, BEGINNING, alice)
    html = admin.post(f"{URL}exclude/", {"person": bob.pk}, follow=True).content.decode()
    assert "left out already" in html


def test_a_settlement_is_no_judgement_in_the_list(admin, alice, judged):
    settle(judged[2], best_of(1, 2), alice, [0, 1])
    assert len(listed(admin.get(URL))) == 4
