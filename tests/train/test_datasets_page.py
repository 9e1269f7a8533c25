import json

import pytest
from django.urls import reverse

from train.datasets import current_dataset, part_file
from train.models import Dataset
from train.recipes import RoundSettings
from train.rounds import launch_round

ADDRESS = "/p/plain/datasets/"


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


def test_it_freezes_what_is_judged_by_now(page, judged, alice):
    response = page.post(f"{ADDRESS}freeze/", follow=True)
    dataset = Dataset.objects.get()
    assert dataset.frozen_at
    assert dataset.created_by == alice
    text = response.content.decode()
    assert "Dataset 1 holds all that is judged by now: 3 pairs to train on, 1 held out." in text
    assert dataset.train_sha256[:12] in text


def test_freezing_twice_makes_one_dataset(page, judged):
    page.post(f"{ADDRESS}freeze/")
    page.post(f"{ADDRESS}freeze/")
    assert Dataset.objects.count() == 1


def test_without_pairs_it_says_why(page):
    response = page.post(f"{ADDRESS}freeze/", follow=True)
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
    for _ in range(3):
        launch_round(project, policy, RoundSettings())
    # 1 session, 2 person, 3 project, 4 membership; datasets: 5 count, 6 page; pairs: 7 last round, 8 figures
    with django_assert_num_queries(9):
        page.get(ADDRESS)
