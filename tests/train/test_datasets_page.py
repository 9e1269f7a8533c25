import json

import pytest
from django.urls import reverse

from annotate.judging import best_of
from annotate.review import settle
from jobs.attempts import run_job
from jobs.models import Job
from train.datasets import current_dataset, part_file
from train.freezing import run_freezing
from train.models import Dataset, Freezing
from train.recipes import RoundSettings
from train.rounds import launch_round
from train.rule_forms import initial_of
from train.rules import Rule

ADDRESS = "/p/plain/datasets/"


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def filled():
    """What the page sends of a rule that takes all there is."""
    return {name: "" if value is None else value for name, value in initial_of(Rule()).items()}


def test_it_freezes_what_the_rule_takes(page, judged, alice, filled):
    response = page.post(f"{ADDRESS}freeze/", filled | {"expansion": "best"}, follow=True)
    text = response.content.decode()
    assert "Dataset 1 is being frozen." in text
    assert "Best against the rest." in text
    assert 'hx-trigger="every 2s"' in text
    run_job(Freezing.objects.get().pk, run_freezing)
    dataset = Dataset.objects.get()
    assert (dataset.train_pairs, dataset.created_by) == (3, alice)
    text = page.get(ADDRESS).content.decode()
    assert dataset.train_sha256[:12] in text
    assert 'hx-trigger="every 2s"' not in text
    assert "since</span>" not in text


def test_freezing_twice_makes_one_dataset(page, project, judged, filled):
    current_dataset(project)
    response = page.post(f"{ADDRESS}freeze/", filled, follow=True)
    assert "Dataset 1 holds just this already." in response.content.decode()
    assert Dataset.objects.count() == 1


def test_one_that_failed_can_be_tried_again(page, judged, filled):
    page.post(f"{ADDRESS}freeze/", filled)
    Job.objects.filter(queue="light", pk__in=Freezing.objects.values("pk")).update(status="failed", error="No space.")
    text = page.get(ADDRESS).content.decode()
    assert "No space." in text
    assert reverse("freeze_again", args=["plain", 1]) in text
    page.post(f"{ADDRESS}1/freeze/")
    assert Freezing.objects.get().status == "queued"
    run_job(Freezing.objects.get().pk, run_freezing)
    page.post(f"{ADDRESS}1/freeze/")  # from a page that does not know yet
    assert Freezing.objects.get().status == "succeeded"


def test_it_says_what_has_changed_since(page, project, judged, alice):
    current_dataset(project)
    settle(project.comparisons.first(), best_of(1, 2), alice, [0, 1])
    assert "1 change since" in page.get(ADDRESS).content.decode()


def test_it_counts_while_the_rule_is_chosen(page, judged, filled):
    headers = {"HX-Request": "true", "HX-Target": "counts"}
    text = page.post(f"{ADDRESS}freeze/", filled | {"overlap": "2"}, headers=headers).content.decode()
    assert text.lstrip().startswith('<div id="counts"')
    assert "wait for another opinion" in text
    assert "3 pairs" in page.get(f"{ADDRESS}freeze/").content.decode()
    assert not Dataset.objects.exists()


def test_without_pairs_it_says_why(page, filled):
    response = page.post(f"{ADDRESS}freeze/", filled)
    assert "Plain answers has no preference pair to train on." in response.content.decode()
    assert not Dataset.objects.exists()


def test_empty_leads_to_judging(page):
    text = page.get(ADDRESS).content.decode()
    assert "nobody has preferred one answer to another yet" in text
    assert reverse("judge", args=["plain"]) in text


@pytest.mark.parametrize(("part", "prompts"), [("train", {"One?", "Two?", "Three?"}), ("held_out", {"Four?"})])
def test_a_download_streams_trl_pairs(page, project, judged, part, prompts):
    current_dataset(project)
    response = page.get(f"{ADDRESS}1/{part}.jsonl")
    assert response.streaming
    name = f"plain-dataset-1-{part.replace('_', '-')}.jsonl"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    rows = [json.loads(line) for line in b"".join(response.streaming_content).decode().splitlines()]
    assert {row["prompt"][0]["content"] for row in rows} == prompts
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "better"}]


def test_what_cannot_be_downloaded_is_not_found(page, project, policy, judged):
    launch_round(project, policy, RoundSettings())
    assert page.get(f"{ADDRESS}1/train.jsonl").status_code == 404  # not frozen yet
    dataset = current_dataset(project)
    assert page.get(f"{ADDRESS}1/both.jsonl").status_code == 404
    assert page.get(f"{ADDRESS}9/train.jsonl").status_code == 404
    part_file(dataset, "train").unlink()
    assert page.get(f"{ADDRESS}1/train.jsonl").status_code == 404


def test_queries(page, project, policy, judged, django_assert_num_queries):
    for settlements in ("win", "aside"):
        current_dataset(project, rule=Rule(settlements=settlements))
    launch_round(project, policy, RoundSettings(), rule=Rule(expansion="best"))
    # 1 session, 2 person, 3 project, 4 membership; datasets: 5 count, 6 page; pairs: 7 last round, 8 figures,
    # 9 who is left out; changes: 10 exclusions, 11 where something was said anew, 12 the newest revision
    with django_assert_num_queries(12):
        page.get(ADDRESS)
