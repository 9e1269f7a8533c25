"""A run that is killed or stopped goes on from its last checkpoint to the same weights, to the bit."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time

import pytest
import torch

from tests.engine.tiny import make_config, make_folder, make_groups, write_jsonl
from train.engine.checkpoints import KEPT
from train.engine.config import TrainingConfig
from train.engine.errors import EngineError, Stopped
from train.engine.fingerprint import weights_fingerprint
from train.engine.memory import TokenBudget
from train.engine.run import alone_in, run
from train.engine.stop import StopRequest

pytestmark = pytest.mark.integration

FULL = {"method": "full", "lora": None, "learning_rate": 3e-3}
MANY = {"epochs": None, "max_steps": 240, "checkpoint_every_steps": 7, "evaluate_every_steps": 50}
CACHED = {"reference_cache": "cache", "token_budget": 100, "max_steps": 100}

# A new process for each start, with torch already imported and nothing run: a start takes a tenth of a second.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["train.engine.run", "peft", "transformers.models.llama.modeling_llama"])


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def config(folder, name="run", **changes):
    return TrainingConfig.from_dict(make_config(folder, output=str(folder / name), **changes))


def run_here(folder, name="run", **changes):
    run(config(folder, name, **changes), StopRequest())
    return folder / name


def run_alone(values):
    stop = StopRequest()
    signal.signal(signal.SIGTERM, stop.request)
    run(TrainingConfig.from_dict(values), stop)


def start(values):
    process = processes.Process(target=run_alone, args=(values,))
    process.start()
    return process


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}, len([x for x in lines if "loss" in x])


def wait_for_step(output, step, process):
    """Wait until a run has done a step, or has not yet begun with any if it is 0."""
    path = output / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while step and not (path.exists() and f'"step": {step},' in path.read_text()):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("changes", [MANY, MANY | FULL, MANY | CACHED])
def test_killed_at_ten_random_moments_it_ends_with_the_same_weights(folder, changes):
    """Twice before the first step, then at eight random steps from the beginning to the end."""
    cache = changes.get("reference_cache")
    whole = config(folder, "whole", **changes | ({"reference_cache": str(folder / "one cache")} if cache else {}))
    process = start(whole.to_dict())
    process.join()
    assert process.exitcode == 0

    other = config(folder, "killed", **changes | ({"reference_cache": str(folder / "other cache")} if cache else {}))
    moments = random.Random(4)
    went_on = 0
    for step in [0, 0, *sorted(moments.sample(range(8, changes["max_steps"] - 5), 8))]:
        process = start(other.to_dict())
        if step == 0:
            process.join(moments.uniform(0.1, 0.6))
        wait_for_step(folder / "killed", step, process)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "It had ended before."
        went_on += any((folder / "killed/checkpoints").glob("step-*"))
    assert went_on >= 8
    process = start(other.to_dict())
    process.join()
    assert process.exitcode == 0
    assert weights_fingerprint(folder / "killed/policy") == weights_fingerprint(folder / "whole/policy")
    assert losses(folder / "killed") == losses(folder / "whole")
    assert losses(folder / "killed")[1] == changes["max_steps"]
    summaries = [json.loads((folder / name / "summary.json").read_text()) for name in ("killed", "whole")]
    assert summaries[0]["eval_metrics"] == summaries[1]["eval_metrics"]
    assert len(list((folder / "killed/checkpoints").iterdir())) == KEPT
    assert not list((folder / "killed").rglob("*.tmp-*"))


class StopAt(StopRequest):
    """Asks for the stop when it is checked for the nth time."""

    def __init__(self, checks):
        super().__init__()
        self.left = checks

    def check(self):
        self.left -= 1
        self.requested = self.left <= 0
        super().check()


@pytest.mark.parametrize("checks", [8, 10, 12])
def test_stopped_it_keeps_the_last_whole_step_and_goes_on_from_there(folder, checks):
    whole = run_here(folder, "whole", evaluate_every_steps=3)
    settings = config(folder, "stopped", evaluate_every_steps=3)
    with pytest.raises(Stopped, match="the same command goes on from its last checkpoint"):
        run(settings, StopAt(checks))
    (checkpoint,) = (folder / "stopped/checkpoints").iterdir()
    done = losses(folder / "stopped")[1]
    assert checkpoint.name == f"step-{done:08d}"
    assert 0 < done <= 6
    run(settings, StopRequest())
    assert weights_fingerprint(folder / "stopped/policy") == weights_fingerprint(whole / "policy")
    assert losses(folder / "stopped") == losses(whole)


def test_killed_between_policy_and_summary_it_writes_both_again(folder):
    output = run_here(folder, checkpoint_every_steps=2)
    before = weights_fingerprint(output / "policy")
    (output / "summary.json").unlink()
    run_here(folder, checkpoint_every_steps=2)
    assert weights_fingerprint(output / "policy") == before
    assert (output / "summary.json").exists()


@pytest.fixture
def interrupted(folder):
    """A run that was stopped after some steps."""
    with pytest.raises(Stopped):
        run(config(folder), StopAt(9))
    return folder


def test_a_machine_may_differ(interrupted):
    output = run_here(interrupted, token_budget=300, checkpoint_every_steps=1)
    assert losses(output)[1] == 6


@pytest.mark.parametrize("damage", [lambda b: b[:700], lambda b: b[:-40] + bytes(40), lambda b: None])
def test_metrics_that_a_power_cut_has_damaged_do_not_stop_it(interrupted, damage):
    path = interrupted / "run/metrics.jsonl"
    content = damage(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    whole = run_here(interrupted, "whole")
    assert weights_fingerprint(run_here(interrupted) / "policy") == weights_fingerprint(whole / "policy")


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def other_data(folder):
    write_jsonl(folder / "train.jsonl", make_groups(11))


def other_model(folder):
    from tests.engine.tiny import save_model

    shutil.rmtree(folder / "model")
    save_model(folder / "model", seed=1)


def other_model_settings(folder):
    path = folder / "model/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": 0.5}))


def other_template(folder):
    path = folder / "model/chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_end|>", " <|im_end|>"))


@pytest.mark.parametrize(
    ("change", "fields", "sentence"),
    [
        (other_model_settings, {}, r"What `model` names has changed"),
        (other_template, {}, r"What `model` names has changed"),
        (None, {"learning_rate": 5e-3}, r"checkpoints of another run: its `learning_rate` is 0.01, now it is 0.005"),
        (None, {"seed": 8}, r"its `seed` is 7, now it is 8. Give another `output`, or the configuration"),
        (other_data, {}, r"What `data` names has changed since the run in .* began, so the run cannot go on"),
        (other_model, {}, r"What `model` names has changed"),
    ],
)
def test_it_does_not_go_on_with_another_run(interrupted, change, fields, sentence):
    if change:
        change(interrupted)
    before = contents(interrupted / "run")
    with pytest.raises(EngineError, match=sentence):
        run_here(interrupted, **fields)
    assert contents(interrupted / "run") == before


@pytest.mark.parametrize(
    ("name", "content"), [("weights.safetensors", b"{"), ("optimizer.safetensors", b""), ("state.json", b"{}")]
)
def test_a_damaged_checkpoint_is_named(interrupted, name, content):
    (checkpoint,) = (interrupted / "run/checkpoints").iterdir()
    (checkpoint / name).write_bytes(content)
    with pytest.raises(EngineError, match=rf"The checkpoint {checkpoint} is damaged \(.*Remove it"):
        run_here(interrupted)


def test_two_trainers_do_not_share_a_folder(folder):
    (folder / "run").mkdir()
    with alone_in(folder / "run"), pytest.raises(EngineError, match="Another trainer is at work in the run folder"):
        run_here(folder)
    run_here(folder, max_steps=1)


def test_the_last_two_are_kept(folder):
    output = run_here(folder, checkpoint_every_steps=1)
    assert sorted(path.name for path in (output / "checkpoints").iterdir()) == ["step-00000005", "step-00000006"]


def run_with_small_files(values, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        run(TrainingConfig.from_dict(values), StopRequest())
    except EngineError as error:
        # The limit is for files; what pytest reads comes through a pipe.
        os._exit(42 if "could not be written: " in str(error) else 43)


def test_where_a_checkpoint_does_not_fit_on_the_disk_the_last_one_stays(folder):
    values = config(folder, **FULL | {"checkpoint_every_steps": 2, "max_steps": 3}).to_dict()
    process = processes.Process(target=run_with_small_files, args=(values, 100_000))
    process.start()
    process.join()
    assert process.exitcode == 42
    assert list((folder / "run/checkpoints").iterdir()) == []
    assert not (folder / "run/policy").exists()
    run(TrainingConfig.from_dict(values), StopRequest())
    assert losses(folder / "run")[1] == 3


def out_of_memory_above(tokens, monkeypatch, module, kind=torch.OutOfMemoryError, message="CUDA out of memory"):
    """A device that holds so many tokens at once, and no more."""
    from train.engine import log_probs

    real = log_probs.sequence_log_probs

    def limited(model, sequences, **rest):
        if len(sequences) * max(sequence.length for sequence in sequences) > tokens:
            raise kind(message)
        return real(model, sequences, **rest)

    for name in module:
        monkeypatch.setattr(f"train.engine.{name}.sequence_log_probs", limited)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2 GiB."),
        (RuntimeError, "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_halves_the_budget_and_goes_on(folder, monkeypatch, kind, message):
    whole = run_here(folder, "whole", checkpoint_every_steps=2)
    out_of_memory_above(200, monkeypatch, ["log_probs", "reference", "training"], kind, message)
    output = run_here(folder, checkpoint_every_steps=2)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["token_budget"] == 128
    assert summary["warnings"] == [
        f"The device ran out of memory. From here on the token budget is {tokens}." for tokens in (512, 256, 128)
    ]
    state = json.loads(next((output / "checkpoints").iterdir()).joinpath("state.json").read_text())["state"]
    assert state["token_budget"] == 128
    assert losses(output)[0] == pytest.approx(losses(whole)[0], abs=1e-4)


def test_a_resumed_run_keeps_the_halved_budget(folder, monkeypatch):
    with monkeypatch.context() as limited:
        out_of_memory_above(200, limited, ["reference", "training"])
        with pytest.raises(Stopped):
            run(config(folder, max_steps=20, epochs=None), StopAt(100))
    summary = json.loads((run_here(folder, max_steps=20, epochs=None) / "summary.json").read_text())
    assert summary["token_budget"] == 128
    assert sum("out of memory" in warning for warning in summary["warnings"]) == 3


def test_where_one_answer_does_not_fit_it_says_so(folder, monkeypatch):
    out_of_memory_above(30, monkeypatch, ["reference"])
    with pytest.raises(EngineError, match=r"out of memory with one answer of \d+ tokens at a time. Lower"):
        run_here(folder)


def test_where_the_optimizer_s_state_does_not_fit_it_says_so(folder, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTry this and that.")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(EngineError, match=r"too little memory for the model's weights and .* \(CUDA out of memory.\)"):
        run_here(folder)


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        TokenBudget(100, "cpu", print).retry(lambda: (_ for _ in ()).throw(RuntimeError("shapes")), longest=1)
