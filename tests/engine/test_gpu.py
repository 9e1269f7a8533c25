"""What only a GPU can show: bit-identical resuming, running out of its memory, and bfloat16."""

import json

import pytest
import torch

from tests.engine.tiny import make_config, make_folder, make_groups, save_model, write_jsonl
from train.engine.config import TrainingConfig
from train.engine.errors import Stopped
from train.engine.fingerprint import weights_fingerprint
from train.engine.run import run
from train.engine.stop import StopRequest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.integration,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no GPU."),
]


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


class StopAt(StopRequest):
    """Asks for the stop when it is checked for the nth time."""

    def __init__(self, checks):
        super().__init__()
        self.left = checks

    def check(self):
        self.left -= 1
        self.requested = self.left <= 0
        super().check()


def train(folder, name, stop=None, **changes):
    run(TrainingConfig.from_dict(make_config(folder, output=str(folder / name), **changes)), stop or StopRequest())
    return folder / name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("changes", [{}, {"method": "full", "lora": None}])
def test_a_stopped_run_goes_on_to_the_same_bits(folder, changes, dtype):
    changes = changes | {"deterministic": True, "dtype": dtype}
    whole = train(folder, "whole", **changes)
    with pytest.raises(Stopped):
        train(folder, "stopped", StopAt(9), **changes)
    train(folder, "stopped", **changes)
    assert weights_fingerprint(folder / "stopped/policy") == weights_fingerprint(whole / "policy")


def test_it_goes_on_with_half_the_budget_where_memory_does_not_suffice(folder):
    """The device is given so little memory that a batch of all rows does not fit, and one row does."""
    save_model(folder / "model")
    write_jsonl(folder / "train.jsonl", make_groups(64, answers=8))
    torch.cuda.reset_peak_memory_stats()
    train(folder, "small", token_budget=128, max_steps=1, groups_per_step=64)
    small = torch.cuda.max_memory_reserved()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.5 * small / total)
    try:
        output = train(folder, "large", token_budget=1 << 16, max_steps=1, groups_per_step=64)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["token_budget"] < 1 << 16
    assert "ran out of memory" in summary["warnings"][0]
