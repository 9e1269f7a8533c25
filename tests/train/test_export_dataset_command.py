import io
import json

import pytest
from django.core.management import CommandError, call_command

from train.datasets import current_dataset
from train.models import Dataset
from train.recipes import RoundSettings
from train.rounds import launch_round


def export(*options):
    output = io.StringIO()
    call_command("export_dataset", "plain", *options, stdout=output, stderr=io.StringIO())
    return output.getvalue()


def test_it_freezes_and_writes_what_is_judged_by_now(judged):
    rows = [json.loads(line) for line in export().splitlines()]
    assert [row["prompt"][0]["content"] for row in rows] == ["One?", "Two?", "Three?"]
    assert rows[0]["rejected"] == [{"role": "assistant", "content": "worse"}]
    assert Dataset.objects.get().frozen_at


def test_it_writes_a_part_of_a_numbered_dataset_into_a_file(project, judged, tmp_path):
    current_dataset(project)
    target = tmp_path / "pairs.jsonl"
    assert export("--dataset", "1", "--part", "held_out", "--output", str(target)) == ""
    assert json.loads(target.read_text())["prompt"][0]["content"] == "Four?"


@pytest.mark.parametrize(
    ("output", "message"),
    [(".", "is a folder. Give a file."), ("none/pairs.jsonl", "there is no folder .*none. Make it first.")],
)
def test_it_writes_only_where_it_is_told_to(judged, tmp_path, output, message):
    with pytest.raises(CommandError, match=f"--output: .*{message}"):
        export("--output", str(tmp_path / output))
    assert list(tmp_path.iterdir()) == []


def test_it_lists_the_datasets_there_are(project, policy, judged):
    with pytest.raises(CommandError, match="Plain answers has no dataset 3. Known: none yet."):
        export("--dataset", "3")
    launch_round(project, policy, RoundSettings())
    with pytest.raises(CommandError, match="Plain answers has no dataset 3. Known: 1."):
        export("--dataset", "3")
    with pytest.raises(CommandError, match="Dataset 1 is not frozen yet"):
        export("--dataset", "1")


def test_without_pairs_it_says_what_to_do(project):
    with pytest.raises(CommandError, match="Plain answers has no preference pair to train on."):
        export()
