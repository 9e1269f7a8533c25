import pytest
from django.urls import reverse

from jobs.models import Job
from train.datasets import freeze
from train.models import Round
from train.recipes import RoundSettings
from train.rounds import launch_round

ADDRESS = "/p/plain/rounds/"


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


def test_it_lists_rounds(page, launched, policy):
    freeze(launched.dataset)
    found = {"eval_rewards/accuracies": 0.66, "eval_rewards/accuracies_low": 0.62, "eval_rewards/accuracies_high": 0.7}
    Round.objects.update(summary={"eval_metrics": found})
    Job.objects.filter(pk=launched.pk).update(status=Job.Status.SUCCEEDED)
    text = page.get(ADDRESS).content.decode()
    assert ">Round 1</a>" in text
    assert "Tiny base" in text
    assert "adapter, rank 16" in text
    assert "66% (62 to 70)" in text
    assert "Train round 2" in text
    assert "hx-trigger" not in text


def test_it_polls_while_a_round_is_active(page, launched):
    text = page.get(ADDRESS, headers={"HX-Request": "true", "HX-Target": "rounds"}).content.decode()
    assert 'hx-trigger="every 2s"' in text
    assert "<h1>" not in text


def test_without_pairs_it_leads_to_judging(page):
    text = page.get(ADDRESS).content.decode()
    assert "A round needs preference pairs" in text
    assert reverse("judge", args=["plain"]) in text
    assert "Train round 1" not in text


def test_with_pairs_it_offers_the_first_round(page, judged):
    text = page.get(ADDRESS).content.decode()
    assert "3 pairs from 3 prompts are ready to train on." in text
    assert "Train round 1" in text


def test_queries(page, project, policy, judged, django_assert_num_queries):
    for _ in range(4):
        launch_round(project, policy, RoundSettings())
    # 1 session, 2 person, 3 project, 4 membership; rounds: 5 count, 6 page; 7 the next number;
    # pairs: 8 the last round, 9 all figures
    with django_assert_num_queries(10):
        page.get(ADDRESS)
