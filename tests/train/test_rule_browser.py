"""The rule's form in a real browser: the counts and the sample follow it, with scripts and without."""

import pytest

from annotate.judging import Choice, Kind, record
from projects.models import Prompt
from tests.browser import visit
from train.models import Dataset, Round

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def all_judged(judged, project, dora):
    """One of the three comparisons to train on has a second opinion: all bad."""
    comparison = project.comparisons.filter(prompt__side=Prompt.Side.TRAIN).first()
    record(dora, comparison, Choice(Kind.BOTH_BAD), shown=[0, 1], client_key="bad")


def test_the_counts_follow_the_rule(live_server, browser, alice, project, all_judged):
    page = visit(browser, live_server.url, alice).new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    page.goto("/p/plain/rounds/launch/")
    page.get_by_text("3 of the 3 pairs, drawn at random.").wait_for()
    page.fill("[name=overlap]", "2")
    page.locator("[name=overlap]").blur()
    page.locator("#counts").get_by_text("from 1 prompt").wait_for()
    page.get_by_text("1 of the 1 pair, drawn at random.").wait_for()
    page.fill("[name=overlap]", "1")
    page.get_by_role("button", name="Count and draw again").click()
    page.get_by_text("3 of the 3 pairs, drawn at random.").wait_for()
    page.get_by_role("button", name="Count and draw again").click()
    page.locator("#counts button[value='3']").wait_for()
    assert page.locator("#samples").count() == page.locator("#counts").count() == 1
    assert not Round.objects.exists()
    page.get_by_role("button", name="Train round 1").click()
    page.wait_for_url("**/rounds/1/")
    assert Round.objects.get().dataset.made_by.overlap == 1
    assert refused == []


def test_a_dataset_is_frozen_by_its_rule_without_scripts(live_server, browser, alice, project, all_judged):
    page = visit(browser, live_server.url, alice, java_script_enabled=False).new_page()
    page.goto("/p/plain/datasets/")
    page.get_by_role("link", name="Freeze a dataset").click()
    page.fill("[name=overlap]", "2")
    page.get_by_role("button", name="Count and draw again").click()
    page.locator("#counts").get_by_text("from 1 prompt").wait_for()
    page.get_by_text("Where the others went").click()
    assert page.get_by_text("wait for another opinion").is_visible()
    page.get_by_role("button", name="Freeze a dataset").click()
    page.get_by_text("By 2 people or more.").wait_for()
    assert Dataset.objects.get().made_by.overlap == 2
