"""A blind A/B as people meet it: begun by an admin, judged by keys, its result on the page by itself."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import start_judging, visit
from train.models import Contest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def judge_for(page, policy: str) -> None:
    """Choose the answer of this policy, which names itself, and wait until the next comparison is there."""
    answers = page.locator(".answer").all_inner_texts()
    asked = re.search(r"question \d+", answers[0])[0]
    page.keyboard.press("1" if policy in answers[0] else "2")
    expect(page.locator(".answer").filter(has_text=re.compile(rf"{asked}\b"))).to_have_count(0)


def test_from_sampling_to_the_interval(live_server, browser, alice, bob, rival, held_out, answered):
    held_out(12)
    admin, annotator = (visit(browser, live_server.url, one).new_page() for one in (alice, bob))
    admin.goto("/p/plain/evaluation/")
    admin.get_by_label("Comparisons", exact=True).fill("12")
    admin.get_by_role("button", name="Start the blind A/B").click()
    expect(admin.locator("#contest")).to_contain_text("0 of 12 pairs of answers are there")
    answered(Contest.objects.get(), lambda item, index: f"{item.policy} on {item.prompt.text}")
    expect(admin.locator("#contest")).to_contain_text("0 of 12 are decided")
    start_judging(annotator)
    for _ in range(12):
        judge_for(annotator, "Plain answers, round 1")
    expect(admin.locator("#contest")).to_contain_text("Plain answers, round 1 is better. It wins 100.0%")
    admin.context.close()
    annotator.context.close()
