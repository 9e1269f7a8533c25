"""The step, its batches and its learning rate."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tests.engine.tiny import make_config, make_loss, make_model
from train.engine.batches import global_batch, micro_batches
from train.engine.checkpoints import Checkpoints, Identity
from train.engine.config import TrainingConfig
from train.engine.errors import EngineError
from train.engine.groups import Pair
from train.engine.log_probs import score
from train.engine.memory import TokenBudget
from train.engine.objective import loss_shares
from train.engine.output import Metrics
from train.engine.stop import StopRequest
from train.engine.tokens import Group, TokenSequence
from train.engine.training import Trainer, backward, check_start, learning_rate, total_steps

LENGTHS = [(3, 9, 5), (2, 2), (12, 4, 7, 1), (6, 6)]


def make_groups():
    groups = []
    for number, lengths in enumerate(LENGTHS):
        prompt = [1, *range(20 + number, 30 + number)]
        rows = [TokenSequence(prompt, [*range(50 + i, 49 + i + length), 2]) for i, length in enumerate(lengths)]
        pairs = [Pair(0, i, 0.75 if i == 1 else 1.0, float(i)) for i in range(1, len(rows))]
        groups.append(Group(rows, pairs, reference=[-4.0 * length for length in lengths]))
    return groups


def config(folder=Path("/data"), **changes):
    full = {"method": "full", "lora": None, "held_out": None} | changes
    return TrainingConfig.from_dict(make_config(folder, **full))


def a_budget(tokens=99):
    return TokenBudget(tokens, "cpu", print)


def train(model, groups, settings):
    """Train and return the last step's metrics."""
    output = Path(settings.output)
    checkpoints = Checkpoints(output / "checkpoints", Identity(settings.to_dict(), {}))
    with Metrics(output / "metrics.jsonl") as metrics:
        metrics.begin()
        trainer = Trainer(model, groups, [], settings, a_budget(), metrics, checkpoints, StopRequest())
        trainer.run()
    return trainer.last


def gradients(token_budget, reduction="pair", **loss):
    """Loss, metrics and gradients of one global batch under a token budget, and its micro-batches."""
    model, batch = make_model().requires_grad_(True), make_groups()
    settings = config(token_budget=token_budget, loss=make_loss(reduction=reduction, **loss))
    totals: dict[str, float] = {}
    cut = list(micro_batches(batch, token_budget, token_budget))
    for micro in cut:
        values = backward(model, batch, loss_shares(batch, settings.loss), micro, settings, a_budget(), StopRequest())
        for name, value in values.items():
            totals[name] = totals.get(name, 0) + value
    return totals, torch.cat([parameter.grad.flatten() for parameter in model.parameters()]), cut


@pytest.mark.parametrize("reduction", ["pair", "group"])
@pytest.mark.parametrize("token_budget", [100, 40, 15])
def test_micro_batches_and_split_groups_change_nothing(token_budget, reduction):
    """11 rows in one piece, in micro-batches, and with groups split over several passes."""
    whole, expected, cut = gradients(10_000, reduction)
    assert [len(micro.parts) for micro in cut] == [1]
    parts, found, cut = gradients(token_budget, reduction)
    assert len(cut) > 1 or len(cut[0].parts) > 1
    assert parts.pop("sent") <= whole.pop("sent")
    assert parts == pytest.approx(whole, abs=1e-4)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_micro_batches_hold_each_row_once_within_the_budget():
    groups = make_groups()
    for token_budget in (15, 40, 70, 1000):
        seen = []
        for micro in micro_batches(groups, token_budget, token_budget):
            rows = [row for index in micro.groups for row in groups[index].sequences]
            assert sorted(index for part in micro.parts for index in part) == list(range(len(rows)))
            for part in micro.parts:
                size = len(part) * max(rows[index].length for index in part)
                assert size <= token_budget or len(part) == 1
            seen += micro.groups
        assert sorted(seen) == [0, 1, 2, 3]


def test_a_group_is_split_by_the_budget_and_not_by_the_fill():
    cut = list(micro_batches(make_groups(), token_budget=100, fill=15))
    assert [len(micro.groups) for micro in cut] == [1, 1, 1, 1]
    assert all(len(micro.parts) == 1 for micro in cut)


def test_an_epoch_holds_each_group_once_in_an_order_from_the_seed():
    epochs = [[global_batch(step, 10, 4, seed=3) for step in range(3 * e, 3 * e + 3)] for e in range(2)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [4, 4, 2]
        assert sorted(sum(epoch, [])) == list(range(10))
    assert epochs[0] != epochs[1]
    assert global_batch(0, 10, 4, seed=3) == epochs[0][0]
    assert global_batch(0, 10, 4, seed=4) != epochs[0][0]


def test_steps():
    assert total_steps(config(epochs=2, groups_per_step=4), 10) == 6
    assert total_steps(config(epochs=2, groups_per_step=4, max_steps=5), 10) == 5
    assert total_steps(config(epochs=None, groups_per_step=4, max_steps=50), 10) == 50


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_learning_rate(schedule, expected):
    settings = config(schedule=schedule, warmup_share=1 / 3, learning_rate=2.0)
    found = [learning_rate(settings, step, 6) for step in range(6)]
    assert found == pytest.approx([2 * value for value in expected], rel=1e-5)


def scored_groups(model):
    return [
        dataclasses.replace(
            group,
            reference=score(
                model, group.sequences, budget=a_budget(), dtype=torch.float32, stop=StopRequest()
            ).tolist(),
        )
        for group in make_groups()
    ]


def test_it_starts_at_its_reference_or_not_at_all():
    model = make_model()
    groups = scored_groups(model)
    check_start(model, groups, config(), a_budget(), StopRequest())
    with torch.no_grad():
        model.lm_head.weight[2] += 0.01
    with pytest.raises(EngineError, match=r"is its own reference, but their log-probabilities differ by"):
        check_start(model, groups, config(), a_budget(), StopRequest())


def test_steps_that_are_not_finite_are_skipped_reported_and_then_stop_the_run(tmp_path):
    model = make_model().requires_grad_(True)
    groups = [dataclasses.replace(make_groups()[0], reference=[float("nan"), 0.0, 0.0])]
    before = [parameter.detach().clone() for parameter in model.parameters()]
    settings = config(tmp_path, output=str(tmp_path), epochs=9)
    with pytest.raises(EngineError, match=r"was not finite in 4 steps in a row. The last batch is in .*Lower"):
        train(model, groups, settings)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    warning, *steps = map(json.loads, lines)
    assert warning == {"warning": "Step 1 was skipped: its loss or gradient was not finite."}
    assert [(step["loss"], "skipped" in step) for step in steps] == [(None, True)] * 4
    assert (tmp_path / "not-finite-batch.json").exists()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_last_step_s_metrics_are_json_even_where_it_is_not_finite(tmp_path):
    groups = [dataclasses.replace(make_groups()[0], reference=[float("nan"), 0.0, 0.0])]
    settings = config(tmp_path, output=str(tmp_path), epochs=1)
    last = train(make_model().requires_grad_(True), groups, settings)
    assert last["loss"] is None
    assert json.loads(json.dumps(last, allow_nan=False)) == last


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    settings = config(tmp_path, output=str(tmp_path), learning_rate=1e38, epochs=1)
    model = make_model().requires_grad_(True)
    with pytest.raises(EngineError, match="The trained weights are not finite after step 1. Lower `learning_rate`"):
        train(model, scored_groups(model), settings)


def test_a_single_step_that_is_not_finite_costs_only_itself(tmp_path):
    model = make_model().requires_grad_(True)
    groups = scored_groups(model)
    groups[0] = dataclasses.replace(groups[0], reference=[float("nan"), 0.0, 0.0])
    settings = config(tmp_path, output=str(tmp_path), epochs=2, groups_per_step=1)
    last = train(model, groups, settings)
    assert last["step"] == 8
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum("skipped" in line for line in lines) == sum("warning" in line for line in lines) == 2
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
