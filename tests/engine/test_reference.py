"""Reference log-probabilities: batches that do not depend on what is known, and values that make sense."""

import pytest
import torch

from tests.engine.tiny import make_model
from train.engine.errors import EngineError, Stopped
from train.engine.memory import TokenBudget
from train.engine.output import Metrics
from train.engine.reference import ReferenceLogProbs
from train.engine.stop import StopRequest
from train.engine.tokens import TokenSequence

ROWS = [TokenSequence([1, *range(20, 24 + i)], [*range(40, 41 + i), 2]) for i in range(6)]


class StopAfterOne(StopRequest):
    def check(self):
        self.request()
        super().check()


def compute(folder, model=None, stop=None):
    reference = ReferenceLogProbs(str(folder), "weights", "float32")
    with Metrics(folder.parent / "metrics.jsonl") as metrics:
        reference.compute(
            model or make_model(),
            ROWS,
            budget=TokenBudget(24, "cpu", print),
            dtype=torch.float32,
            metrics=metrics,
            stop=stop or StopRequest(),
        )
    return reference


def test_a_pass_that_was_stopped_ends_with_the_same_bits(tmp_path):
    whole = compute(tmp_path / "whole")
    with pytest.raises(Stopped):
        compute(tmp_path / "stopped", stop=StopAfterOne())
    assert 0 < ReferenceLogProbs(str(tmp_path / "stopped"), "weights", "float32").missing(ROWS) < len(ROWS)
    assert compute(tmp_path / "stopped").known == whole.known


def test_a_value_that_is_not_finite_stops_the_run_and_is_not_kept(tmp_path):
    model = make_model()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(EngineError, match="a log-probability that is not finite. Its weights are damaged"):
        compute(tmp_path / "cache", model)
    assert ReferenceLogProbs(str(tmp_path / "cache"), "weights", "float32").known == {}
