"""What people see instead of a page."""

import pytest
from django.template.loader import render_to_string
from django.test import Client


def test_an_unknown_address(client, bob):
    client.force_login(bob)
    page = client.get("/no/such/page/")
    assert page.status_code == 404
    assert "There is nothing here for you" in page.text
    assert 'popovertarget="you"' in page.text


def test_a_page_of_others_says_whose_it_is(client, bob, project):
    client.force_login(bob)
    page = client.get("/p/plain/people/")
    assert page.status_code == 403
    assert "Only an admin of Plain answers may open this page." in page.text


def test_a_stale_form(bob):
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    page = client.post("/sign-out/")
    assert page.status_code == 403
    assert "Nothing was changed." in page.text


@pytest.mark.parametrize("template", ["500.html", "403_csrf.html"])
def test_it_needs_neither_a_request_nor_the_database(template):
    assert 'href="/"' in render_to_string(template)
