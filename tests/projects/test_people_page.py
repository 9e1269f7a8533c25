"""The people of a project: adding them, their roles, and their leaving."""

import re

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from annotate.judging import Choice, best_of, record
from annotate.models import Judgement, Revision
from annotate.queue import next_lease
from projects.access import add_member
from projects.models import Membership, Project
from projects.people_forms import AddPersonForm

URL = "/p/plain/people/"
ADD = "/p/plain/people/add/"


def member(user) -> Membership:
    return Membership.objects.get(user=user, project__slug="plain")


def role_url(user) -> str:
    return f"{URL}{member(user).pk}/role/"


def remove_url(user) -> str:
    return f"{URL}{member(user).pk}/remove/"


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


def typed(username, account="known", role="annotator") -> dict[str, str]:
    return {"username": username, "account": account, "role": role}


def test_it_works(admin, bob, project, add_prompts, sampled):
    prompts = add_prompts("One?", "Two?", "Three?")
    sampled({prompt: ["yes", "no"] for prompt in prompts})
    for number, choice in enumerate((best_of(0, 2), Choice(Revision.Kind.BOTH_BAD), Choice(Revision.Kind.SKIPPED))):
        lease = next_lease(bob, project)
        record(bob, lease.comparison, choice, shown=lease.shown, client_key=str(number))
    Revision.objects.filter(kind=Revision.Kind.RANKED).update(submitted_at=timezone.now() - timezone.timedelta(days=2))
    page = admin.get(URL)
    rows = [(row.user.username, row.role, row.judged, row.judged_lately) for row in page.context["page"]]
    assert rows == [("alice", "admin", 0, 0), ("bob", "annotator", 2, 1), ("dora", "annotator", 0, 0)]


def test_a_settlement_is_no_vote_of_theirs(admin, alice, add_prompts, sampled):
    (comparison,) = sampled({add_prompts("One?")[0]: ["yes", "no"]})
    record(alice, comparison, best_of(0, 2), shown=[0, 1], client_key="key")
    Judgement.objects.update(settles=True)
    assert [row.judged for row in admin.get(URL).context["page"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["alice", "bob", "dora", "zoe"]),
        ("role", ["alice", "zoe", "bob", "dora"]),
        ("judged", ["dora", "alice", "bob", "zoe"]),
        ("joined", ["bob", "alice", "dora", "zoe"]),
        ("; drop", ["alice", "zoe", "bob", "dora"]),
    ],
)
def test_it_is_sorted_by_links(admin, alice, bob, dora, project, add_prompts, sampled, sort, names):
    add_member(project, User.objects.create(username="zoe"), "admin")
    (comparison,) = sampled({add_prompts("One?")[0]: ["yes", "no"]})
    record(dora, comparison, best_of(0, 2), shown=[0, 1], client_key="key")
    Membership.objects.update(joined_at=timezone.now() - timezone.timedelta(days=2))
    Membership.objects.filter(user=bob).update(joined_at=timezone.now())
    page = admin.get(URL, {"sort": sort})
    assert [row.user.username for row in page.context["page"]] == names
    sorted_by = sort if sort in ("name", "judged", "joined") else "role"
    assert re.search(rf'aria-sort="\w+"><a href="{URL}\?sort={sorted_by}"', page.text)
    assert page.text.count("aria-sort") == 1


def test_the_deactivated_are_marked(admin, bob):
    assert "deactivated</span>" not in admin.get(URL).text
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert re.search(r'bob\s*<span class="tag warn">deactivated</span>', admin.get(URL).text)


def test_an_admin_whose_account_is_deactivated_does_not_count_as_the_last(client, olga, alice, bob, project):
    Membership.objects.filter(user=bob).update(role="admin")
    User.objects.filter(pk=bob.pk).update(is_active=False)
    client.force_login(olga)
    assert "alice is the last admin." in client.post(remove_url(alice), follow=True).text
    client.post(remove_url(bob))
    assert member(bob).left_at is not None


def test_leaving_is_told_to_the_apps_above(admin, bob, project, left):
    admin.post(remove_url(bob))
    assert left == [(project, bob)]


def test_what_they_did_elsewhere_does_not_count(admin, bob, project, add_prompts, sampled):
    prompts = add_prompts("One?")
    (comparison,) = sampled({prompts[0]: ["yes", "no"]})
    other = Project.objects.create(name="Other", slug="other")
    record(bob, comparison, best_of(0, 2), shown=[0, 1], client_key="key")
    comparison.project = other
    comparison.save()
    assert [row.judged for row in admin.get(URL).context["page"]] == [0, 0, 0]


def test_somebody_with_an_account_is_added(admin, charlie):
    page = admin.post(ADD, typed("Charlie", role="admin"), follow=True)
    assert "charlie is in the project now." in page.text
    assert member(charlie).role == "admin"


def test_a_new_account_gets_a_password_that_is_shown_once(admin):
    page = admin.post(ADD, typed("zoe", "new"))
    (password,) = re.findall('<code class="secret">(.+?)</code>', page.text)
    assert len(password) == 16
    zoe = User.objects.get(username="zoe")
    assert zoe.check_password(password)
    assert not zoe.is_staff
    assert member(zoe).role == "annotator"
    assert "no-store" in page.headers["Cache-Control"]
    assert password not in admin.get(URL).text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (typed(""), "Give the name they sign in with."),
        (typed("nobody"), "Nobody signs in as nobody. Check the spelling, or have a new account made."),
        (typed("bob"), "bob is in this project already."),
        (typed("BOB", "new"), "The name bob is taken. Choose another, or add the person who has it."),
        (typed("two words", "new"), "A sign-in name has only letters, digits and @ . + - _, and no spaces."),
    ],
)
def test_it_rejects_a_bad_name_and_keeps_it(admin, values, message):
    people = User.objects.count()
    page = admin.post(ADD, values)
    assert page.context["form"].errors == {"username": [message]}
    assert f'value="{values["username"]}"' in page.text or not values["username"]
    assert User.objects.count() == people


def test_a_name_is_measured_as_it_is_stored(admin):
    """The sign ﬃ is stored as three letters."""
    page = admin.post(ADD, typed("ﬃ" * 150, "new"))
    assert page.context["form"].errors["username"] == ["Ensure this value has at most 150 characters (it has 450)."]
    assert not User.objects.filter(username__startswith="ffi").exists()


def test_two_at_once_make_one_account_and_the_other_is_told(admin, monkeypatch):
    """A double click whose second request passes the check before the first has stored its account."""
    make = {"username": "eve", "account": "new", "role": "annotator"}
    monkeypatch.setattr(AddPersonForm, "_check", lambda *_, **__: None)
    assert "eve" in admin.post(ADD, make).text
    page = admin.post(ADD, make)
    assert "The name eve is taken. Choose another, or add the person who has it." in page.text
    assert User.objects.filter(username="eve").count() == 1


def test_it_rejects_a_closed_account(admin, charlie):
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    page = admin.post(ADD, typed("charlie"))
    assert page.context["form"].errors == {
        "username": ["The account charlie is deactivated. An operator can reactivate it."]
    }


def test_it_rejects_a_role_that_is_none(admin, charlie):
    assert "role" in admin.post(ADD, typed("charlie", role="owner")).context["form"].errors
    assert not Membership.objects.filter(user=charlie).exists()


def test_a_role_is_changed(admin, bob):
    admin.post(role_url(bob), {"role": "admin"})
    assert member(bob).role == "admin"
    admin.post(role_url(bob), {"role": "annotator"})
    assert member(bob).role == "annotator"


def test_it_rejects_another_role(admin, bob):
    answer = admin.post(role_url(bob), {"role": "owner"})
    assert (answer.status_code, answer.text) == (400, "Choose the role annotator or admin.")
    assert member(bob).role == "annotator"


def test_somebody_leaves_and_comes_back(admin, bob):
    page = admin.post(remove_url(bob), follow=True)
    assert "bob has left the project. What they judged stays." in page.text
    assert member(bob).left_at is not None
    assert admin.post(f"{URL}{member(bob).pk}/remove/").status_code == 404
    admin.post(ADD, typed("bob"))
    assert member(bob).left_at is None


def test_nobody_removes_themselves(admin, alice, bob):
    member(bob)
    Membership.objects.filter(user=bob).update(role="admin")
    for url, values in ((remove_url(alice), {}), (role_url(alice), {"role": "annotator"})):
        page = admin.post(url, values, follow=True)
        assert "You cannot take your own part away. Ask another admin, or an operator, to do it." in page.text
    assert (member(alice).role, member(alice).left_at) == ("admin", None)


def test_the_last_admin_stays(client, olga, alice, bob, project):
    client.force_login(olga)
    for url, values in ((remove_url(alice), {}), (role_url(alice), {"role": "annotator"})):
        page = client.post(url, values, follow=True)
        assert "alice is the last admin. Make somebody else an admin first." in page.text
    assert (member(alice).role, member(alice).left_at) == ("admin", None)
    Membership.objects.filter(user=bob).update(role="admin")
    client.post(remove_url(alice))
    assert member(alice).left_at is not None


def test_people_of_other_projects_are_out_of_reach(admin, bob):
    other = Project.objects.create(name="Other", slug="other")
    theirs = add_member(other, bob, "annotator")
    assert admin.post(f"{URL}{theirs.pk}/remove/").status_code == 404
    assert admin.post(f"{URL}{theirs.pk}/role/", {"role": "admin"}).status_code == 404


def test_removing_asks_first(admin, bob):
    text = admin.get(URL).text
    assert f'popovertarget="remove-{member(bob).pk}"' in text
    assert "Remove bob from the project?" in text


def test_it_is_paged(admin, project):
    for number in range(25):
        add_member(project, User.objects.create(username=f"person{number:02}"), "annotator")
    assert "1 to 25 of 28" in admin.get(URL).text
    assert "person24" in admin.get(URL, {"page": 2}).text


def test_its_queries_do_not_grow(admin, django_assert_num_queries):
    # Session, person, project, membership; number of members, the members with their judgements, open links.
    with django_assert_num_queries(7):
        admin.get(URL)


@pytest.mark.parametrize("address", ["people", "add", "role", "remove"])
def test_it_is_for_admins(client, bob, dora, charlie, project, address):
    url = {"people": URL, "add": ADD, "role": role_url(dora), "remove": remove_url(dora)}[address]
    call = client.get if address == "people" else client.post
    assert call(url).headers["Location"] == f"/sign-in/?next={url if address == 'people' else '/'}"
    client.force_login(charlie)
    assert call(url).status_code == 404
    client.force_login(bob)
    assert call(url, {"role": "admin"}).status_code == 403
    assert (member(dora).role, member(dora).left_at) == ("annotator", None)


def test_it_requires_the_right_method(admin, bob):
    assert admin.post(URL).status_code == 405
    for url in (ADD, role_url(bob), remove_url(bob)):
        assert admin.get(url).status_code == 405
