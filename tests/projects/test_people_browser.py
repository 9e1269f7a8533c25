"""A plain form in a real browser: a second press while the first is on its way does nothing."""

import pytest
from django.contrib.auth.models import User

from tests.browser import visit

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
