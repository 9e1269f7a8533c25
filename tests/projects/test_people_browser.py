"""The pages of people in a real browser: double presses, copying a link, joining by it, on a phone too."""

import pytest
from django.contrib.auth.models import User

from projects.invitations import invite
from projects.models import Invitation, Membership
from tests.browser import PHONE, visit
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_double_click_makes_one_account_and_shows_its_password(live_server, browser, alice, project):
    page = visit(browser, live_server.url, alice).new_page()
    page.goto("/p/plain/people/")
    page.fill("[name=username]", "eve")
    page.select_option("[name=account]", "new")
    press = "document.querySelector('form[action$=\"/people/add/\"] button:not([type=button])').click()"
    page.evaluate(f"{press}; setTimeout(() => {press}, 0)")
    page.get_by_text("eve").first.wait_for()
    assert "password" in page.inner_text("main").lower()
    assert User.objects.filter(username="eve").count() == 1
    page.go_back()
    page.reload()
    assert page.locator("form[data-sent]").count() == 0


def test_a_link_is_copied_by_its_button(live_server, browser, alice, project):
    window = visit(browser, live_server.url, alice, permissions=["clipboard-read", "clipboard-write"])
    page = window.new_page()
    page.goto("/p/plain/people/")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("button", name="Copy the link").press("Enter")
    page.get_by_role("button", name="Copied").wait_for()
    address = f"{live_server.url}{Invitation.objects.get().get_absolute_url()}"
    assert page.evaluate("navigator.clipboard.readText()") == address


def test_without_scripts_the_link_is_text_to_select(live_server, browser, alice, project):
    link = invite(project, alice, role="annotator", days=1, most_uses=1)
    page = visit(browser, live_server.url, alice, java_script_enabled=False).new_page()
    page.goto("/p/plain/people/")
    assert page.get_by_text(link.get_absolute_url()).first.is_visible()
    assert page.get_by_role("button", name="Copy").count() == 0


@pytest.mark.parametrize("scripts", [True, False])
def test_a_newcomer_joins_on_a_phone(live_server, browser, alice, project, scripts):
    link = invite(project, alice, role="annotator", days=1, most_uses=1)
    page = browser.new_context(base_url=live_server.url, java_script_enabled=scripts, **PHONE).new_page()
    page.goto(link.get_absolute_url())
    page.get_by_label("Sign-in name").fill("eve")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account and join").click()
    page.wait_for_url("**/p/plain/judge/")
    assert Membership.objects.get(user__username="eve").role == "annotator"


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_needs_scrolling_to_the_side(live_server, browser, olga, alice, project, width):
    User.objects.create(username="person-with-a-rather-long-name@example.org")
    invite(project, alice, role="annotator", days=1, most_uses=1)
    options = PHONE | {"viewport": {"width": width, "height": 844}}
    page = visit(browser, live_server.url, olga, **options).new_page()
    for url in ("/p/plain/people/", "/p/plain/settings/", "/people/", f"/people/{alice.pk}/deactivate/"):
        page.goto(url)
        wide = "[...document.querySelectorAll('html, .scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
        assert page.evaluate(wide) == 0, url
