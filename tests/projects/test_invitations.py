"""Links that invite: making and withdrawing them, and joining by them."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from projects.access import add_member
from projects.invitations import MOST_LIVE, Closed, accept, accept_with_new_account, invite
from projects.models import Invitation, Membership, Project
from projects.people import Refused, change_role, leave, remove
from tests.conftest import PASSWORD

PEOPLE = "/p/plain/people/"
MAKE = "/p/plain/people/links/"


def typed(role="annotator", people="one", days="7") -> dict[str, str]:
    return {"role": role, "people": people, "days": days}


def account(username="eve", password=PASSWORD, again=PASSWORD) -> dict[str, str]:
    return {"username": username, "password1": password, "password2": again}


def part(user) -> Membership:
    return Membership.objects.get(user=user, project__slug="plain")


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def link(project, alice) -> Invitation:
    return invite(project, alice, role="annotator", days=7, most_uses=1)


@pytest.fixture
def open_link(project, alice) -> Invitation:
    return invite(project, alice, role="annotator", days=7, most_uses=None)


@pytest.fixture
def admin_link(project, alice) -> Invitation:
    return invite(project, alice, role="admin", days=1, most_uses=None)


# Making and withdrawing


def test_it_works(admin, client, charlie):
    page = admin.post(MAKE, typed(), follow=True)
    (invitation,) = Invitation.objects.all()
    address = f"http://testserver{invitation.get_absolute_url()}"
    assert f'<code class="secret" id="link-{invitation.pk}">{address}</code>' in page.text
    assert "Nobody has joined yet. Made by alice." in page.text
    client.force_login(charlie)
    page = client.get(address)
    assert "<b>alice</b> invites you to judge the answers" in page.text
    assert not Membership.objects.filter(user=charlie).exists()
    page = client.post(address, follow=True)
    assert "You are in Plain answers now." in page.text
    assert part(charlie).role == "annotator"
    assert invitation.get_absolute_url() not in admin.get(PEOPLE).text  # its one use is taken


@pytest.mark.parametrize(("people", "most"), [("one", 1), ("many", None)])
@pytest.mark.parametrize("days", [1, 7, 30])
@pytest.mark.parametrize("role", ["annotator", "admin"])
def test_a_link_is_what_the_form_says(admin, alice, people, most, days, role):
    admin.post(MAKE, typed(role, people, str(days)))
    made = Invitation.objects.get()
    assert (made.role, made.most_uses, made.uses, made.created_by) == (role, most, 0, alice)
    assert abs(made.expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)


@pytest.mark.parametrize("change", [{"role": "owner"}, {"people": "5"}, {"days": "365"}, {"days": ""}])
def test_it_rejects_another_choice(admin, change):
    page = admin.post(MAKE, typed() | change)
    assert page.status_code == 200
    assert list(page.context["invite"].errors) == list(change)
    assert not Invitation.objects.exists()


def test_a_project_has_only_so_many_open_links(admin, alice, project):
    for _ in range(MOST_LIVE):
        invite(project, alice, role="annotator", days=1, most_uses=1)
    page = admin.post(MAKE, typed(), follow=True)
    assert "Plain answers has 20 open links, and more are not kept. Withdraw one of them first." in page.text
    assert Invitation.objects.count() == MOST_LIVE


def test_how_many_joined_is_counted(admin, open_link, charlie, olga):
    accept(open_link, charlie)
    accept(open_link, olga)
    assert "2 have joined." in admin.get(PEOPLE).text


def test_a_withdrawn_link_lets_nobody_in(admin, client, link, charlie):
    page = admin.post(f"{MAKE}{link.pk}/withdraw/", follow=True)
    assert "The link lets nobody in any more." in page.text
    assert link.get_absolute_url() not in page.text
    client.force_login(charlie)
    answer = client.post(link.get_absolute_url())
    assert answer.status_code == 410
    assert "The link was withdrawn. Ask <b>alice</b>, or another admin of Plain answers, for a new one." in answer.text
    assert not Membership.objects.filter(user=charlie).exists()


def test_links_of_other_projects_are_out_of_reach(admin, alice):
    other = Project.objects.create(name="Other", slug="other")
    theirs = invite(other, alice, role="admin", days=1, most_uses=1)
    assert admin.post(f"{MAKE}{theirs.pk}/withdraw/").status_code == 404
    theirs.refresh_from_db()
    assert theirs.withdrawn_at is None


def test_annotators_make_no_links(client, bob, project):
    client.force_login(bob)
    assert client.post(MAKE, typed(role="admin")).status_code == 403
    assert not Invitation.objects.exists()


def test_an_operator_makes_links_without_being_in_the_project(client, olga, project):
    client.force_login(olga)
    client.post(MAKE, typed(role="admin"))
    assert Invitation.objects.get().created_by == olga


# Opening a link, signed out


def test_signed_out_the_page_names_the_project_and_both_ways_in(client, link, project):
    project.description = "Which answer is <plainer>?"
    project.save()
    page = client.get(link.get_absolute_url())
    assert '<h1 id="join-h" class="wraps">Join Plain answers</h1>' in page.text
    assert "Which answer is &lt;plainer&gt;?" in page.text
    assert f'href="/sign-in/?next={link.get_absolute_url()}"' in page.text
    assert "no-store" in page.headers["Cache-Control"]


def test_who_has_an_account_signs_in_and_comes_back(client, link, charlie):
    answer = client.post(
        "/sign-in/", {"username": "charlie", "password": PASSWORD, "next": link.get_absolute_url()}, follow=True
    )
    assert "Join Plain answers</button>" in answer.text
    assert "You are signed in as charlie." in answer.text


def test_a_press_after_signing_out_elsewhere_leads_to_sign_in_and_back(client, link):
    answer = client.post(link.get_absolute_url())
    assert answer.headers["Location"] == f"/sign-in/?next={link.get_absolute_url()}"
    assert Invitation.objects.get().uses == 0


def test_a_newcomer_makes_an_account_and_is_in(client, link):
    page = client.post(f"{link.get_absolute_url()}account/", account(), follow=True)
    assert "You are in Plain answers now." in page.text
    eve = User.objects.get(username="eve")
    assert page.context["user"] == eve
    assert (eve.is_staff, eve.check_password(PASSWORD), part(eve).role) == (False, True, "annotator")
    assert Invitation.objects.get().uses == 1


@pytest.mark.parametrize(
    ("values", "name", "message"),
    [
        (account(""), "username", "Choose the name that you will sign in with."),
        (account("two words"), "username", "A sign-in name has only letters, digits and @ . + - _, and no spaces."),
        (account("ALICE"), "username", "This name is taken. Choose another; if it is yours, sign in with it."),
        (account(again="another"), "password2", "The two are not the same. Type the password again."),
        (account(password="password", again="password"), "password2", "This password is too common."),
        (
            account("zoequill7", "zoequill8", "zoequill8"),
            "password2",
            "The password is too similar to the username.",
        ),
    ],
)
def test_a_bad_account_is_refused_and_its_name_kept(client, link, values, name, message):
    page = client.post(f"{link.get_absolute_url()}account/", values)
    assert page.context["form"].errors == {name: [message]}
    assert not values["username"] or f'value="{values["username"]}"' in page.text
    assert PASSWORD not in page.text
    assert Invitation.objects.get().uses == 0


def test_without_a_use_left_no_account_is_made(link, charlie):
    accept(link, charlie)
    with pytest.raises(Closed, match="The link was for one person, and somebody has joined by it."):
        accept_with_new_account(link, "eve", PASSWORD)
    assert not User.objects.filter(username="eve").exists()


def test_a_name_that_somebody_else_took_meanwhile_costs_no_use(link, charlie):
    with pytest.raises(Refused, match="The name charlie is taken."):
        accept_with_new_account(link, "charlie", PASSWORD)
    assert Invitation.objects.get().uses == 0


def test_who_is_signed_in_makes_no_second_account(client, link, charlie):
    client.force_login(charlie)
    answer = client.post(f"{link.get_absolute_url()}account/", account())
    assert answer.headers["Location"] == link.get_absolute_url()
    assert not User.objects.filter(username="eve").exists()


# What a link gives


def test_a_member_is_led_to_the_project_and_takes_no_use(client, link, bob):
    client.force_login(bob)
    for call in (client.get, client.post):
        page = call(link.get_absolute_url(), follow=True)
        assert page.redirect_chain[0] == ("/p/plain/", 302)
    assert Invitation.objects.get().uses == 0


def test_an_admin_is_not_lowered(link, alice):
    assert accept(link, alice) is False
    assert (part(alice).role, Invitation.objects.get().uses) == ("admin", 0)


def test_an_annotator_becomes_admin_by_an_admins_link(client, admin_link, bob):
    client.force_login(bob)
    assert "to run this project as an admin" in client.get(admin_link.get_absolute_url()).text
    assert part(bob).role == "annotator"
    client.post(admin_link.get_absolute_url())
    assert part(bob).role == "admin"


def test_somebody_who_left_comes_back(client, open_link, bob):
    leave(part(bob))
    client.force_login(bob)
    client.post(open_link.get_absolute_url())
    assert part(bob).left_at is None


def test_somebody_who_was_removed_comes_back_by_a_later_link_only(client, open_link, project, alice, bob):
    remove(part(bob), by=alice)
    client.force_login(bob)
    for call in (client.get, client.post):
        answer = call(open_link.get_absolute_url())
        assert answer.status_code == 403
        assert "An admin took you out of Plain answers after this link was made." in answer.text
    assert part(bob).left_at is not None
    later = invite(project, alice, role="annotator", days=1, most_uses=1)
    client.post(later.get_absolute_url())
    assert (part(bob).left_at, part(bob).removed) == (None, False)


# Links that let nobody in


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("account_page", [True, False])
def test_an_old_link_says_whom_to_ask(client, link, charlie, method, signed_in, account_page):
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    if signed_in:
        client.force_login(charlie)
    url = link.get_absolute_url() + ("account/" if account_page else "")
    answer = getattr(client, method)(url, account(), follow=True)
    if method == "get" and account_page:
        assert answer.status_code == 405
    elif method == "post" and not account_page and not signed_in:
        assert answer.redirect_chain[0][0].startswith("/sign-in/")
    else:
        assert answer.status_code == 410
        assert "The link has run out. Ask <b>alice</b>" in answer.text
    assert not Membership.objects.filter(user=charlie).exists()
    assert not User.objects.filter(username="eve").exists()


def test_a_used_up_link_says_so(client, link, charlie):
    accept(link, charlie)
    answer = client.get(link.get_absolute_url())
    assert answer.status_code == 410
    assert "The link was for one person, and somebody has joined by it. Ask <b>alice</b>" in answer.text


@pytest.mark.parametrize("token", ["1", "1.", "1.forged", "x" * 500, "é", "1:2"])
def test_a_forged_link_is_not_found(client, link, token):
    answer = client.get(f"/join/{token}/")
    assert answer.status_code == 404
    assert "Ask whoever sent it to you for the link again" in answer.text
    assert "Plain answers" not in answer.text


def test_the_address_of_one_link_is_not_good_for_another(client, link, admin_link):
    signature = link.get_absolute_url().split(".")[1]
    assert client.get(f"/join/{admin_link.pk}.{signature}").status_code == 404


def test_the_links_of_somebody_who_is_no_admin_any_more_end(project, alice, olga, open_link, charlie):
    add_member(project, olga, "admin")
    theirs = invite(project, olga, role="admin", days=1, most_uses=None)
    change_role(part(alice), "annotator", by=olga)
    with pytest.raises(Closed, match="The link was withdrawn."):
        accept(open_link, charlie)
    assert accept(theirs, charlie) is True


@pytest.mark.parametrize("end", ["leave", "remove"])
def test_links_end_with_their_makers_part(project, alice, olga, open_link, charlie, end):
    add_member(project, olga, "admin")
    leave(part(alice)) if end == "leave" else remove(part(alice), by=olga)
    with pytest.raises(Closed, match="The link was withdrawn."):
        accept(open_link, charlie)


def test_it_requires_the_right_method(admin, link):
    assert admin.get(MAKE).status_code == 405
    assert admin.get(f"{MAKE}{link.pk}/withdraw/").status_code == 405
    assert admin.put(link.get_absolute_url()).status_code == 405
