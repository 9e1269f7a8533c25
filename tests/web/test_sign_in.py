"""Signing in and out, and changing one's password."""

from tests.conftest import PASSWORD

NEW = "another long password"


def test_it_works(client, bob):
    answer = client.post("/sign-in/", {"username": "bob", "password": PASSWORD, "next": "/p/plain/judge/"})
    assert answer.headers["Location"] == "/p/plain/judge/"
    assert client.get("/").context["user"] == bob


def test_it_goes_nowhere_else(client, bob):
    answer = client.post("/sign-in/", {"username": "bob", "password": PASSWORD, "next": "https://example.org/"})
    assert answer.headers["Location"] == "/"


def test_a_wrong_password_keeps_the_name(client, bob):
    page = client.post("/sign-in/", {"username": "bob", "password": "wrong"})
    assert "This name and this password do not belong together." in page.text
    assert 'value="bob"' in page.text
    assert "wrong" not in page.text


def test_the_page_says_nothing_of_accounts(client, bob):
    page = client.get("/sign-in/")
    assert "bob" not in page.text
    assert PASSWORD not in page.text


def test_who_is_in_goes_on(client, bob):
    client.force_login(bob)
    assert client.get("/sign-in/").headers["Location"] == "/"


def test_signing_out_takes_a_post(client, bob):
    client.force_login(bob)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert client.get("/").headers["Location"] == "/sign-in/?next=/"


def test_a_password_is_changed(client, bob):
    client.force_login(bob)
    typed = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    page = client.post("/password/", typed, follow=True)
    assert "Your password is changed." in page.text
    bob.refresh_from_db()
    assert bob.check_password(NEW)


def test_a_wrong_old_password_changes_nothing(client, bob):
    client.force_login(bob)
    typed = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW + "er"}
    page = client.post("/password/", typed)
    assert "This is not your password now. Type it again." in page.text
    assert "The two are not the same. Type the new password again." in page.text
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


def test_a_weak_password_is_refused(client, bob):
    client.force_login(bob)
    page = client.post("/password/", {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"})
    assert "too short" in page.text


def test_changing_requires_sign_in(client, db):
    assert client.get("/password/").headers["Location"] == "/sign-in/?next=/password/"


def test_what_is_pressed_signed_out_leads_back_to_its_page_and_is_said_not_to_be_done(client, project):
    page = "http://testserver/p/plain/people/?page=2"
    answer = client.post("/p/plain/people/add/", {"username": "eve"}, headers={"referer": page})
    assert answer.headers["Location"] == "/sign-in/?next=/p/plain/people/"
    assert "what you pressed was not done. Sign in and press it again." in client.get(answer.headers["Location"]).text
    elsewhere = client.post("/p/plain/people/add/", headers={"referer": "http://evil.example/trap/"})
    assert elsewhere.headers["Location"] == "/sign-in/?next=/"
