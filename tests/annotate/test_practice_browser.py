"""Practice as a new annotator meets it: by keys, and on a phone."""

import re

import pytest
from django.db.models import F
from playwright.sync_api import expect

from annotate.gold import add
from annotate.judging import best_of
from annotate.models import Comparison, Practised, Revision
from annotate.review import settle
from tests.browser import PHONE, start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def practice(alice, project, comparisons):
    """Two comparisons to practise on, and one to judge."""
    originals = comparisons(2)
    for comparison in originals:
        settle(comparison, best_of(0, 2, reason="It says what was asked, and no more."), alice, [0, 1])
    Comparison.objects.update(judged=F("wanted"))
    comparisons(1)
    project.practice_count = 2
    project.save()
    add(originals, "practice", alice)


def by_key(page, number):
    page.wait_for_load_state()
    page.keyboard.press(str(number))


def by_touch(page, number):
    page.get_by_role("button", name=f"Answer {number}").tap()


@pytest.mark.parametrize(
    ("options", "choose"), [({"viewport": {"width": 1440, "height": 900}}, by_key), (PHONE, by_touch)]
)
def test_practice_tells_what_the_admins_said(live_server, browser, bob, practice, options, choose):
    window = visit(browser, live_server.url, bob, **options)
    faults = []
    window.on("weberror", lambda error: faults.append(str(error.error)))
    page = window.new_page()
    start_judging(page)
    for number in (1, 2):
        expect(page.get_by_text(f"Practice {number} of 2.")).to_be_visible()
        with page.expect_navigation(url=re.compile("/said/")):
            choose(page, number)
        expect(page.get_by_role("heading", level=1)).to_have_text(
            re.compile("You chose as the admins did|You and the admins chose otherwise")
        )
        expect(page.get_by_text("It says what was asked, and no more.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_role("link", name="Go on").click()
    expect(page.get_by_role("heading", name="Practice is done")).to_be_visible()
    page.get_by_role("link", name="Start judging").click()
    expect(page.locator(".tally")).to_contain_text("0 today")
    assert Practised.objects.filter(person=bob).count() == 2
    assert not Revision.objects.filter(person=bob).exists()
    window.close()
    assert not faults
