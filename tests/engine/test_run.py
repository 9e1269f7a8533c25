"""Whole runs on a tiny model: what they learn, what they write, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.engine.tiny import make_config, make_folder, make_groups, make_loss, write_jsonl
from train.engine.config import TrainingConfig
from train.engine.errors import DataError, EngineError, ModelError, Stopped
from train.engine.fingerprint import weights_fingerprint
from train.engine.run import run
from train.engine.stop import StopRequest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
FULL = {"method": "full", "lora": None, "learning_rate": 3e-3}


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def train(folder, name="run", **changes):
    """Run a configuration in this process and return its folder."""
    output = folder / name
    run(TrainingConfig.from_dict(make_config(folder, output=str(output), **changes)), StopRequest())
    return output


def lines(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def steps(output):
    return [line for line in lines(output) if "loss" in line]


def summary(output):
    return json.loads((output / "summary.json").read_text())


def command(config, *options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return {"args": [sys.executable, "-m", "train.engine", str(config), *options], "cwd": ROOT, "env": environment}


@pytest.mark.parametrize("changes", [{}, FULL, {"dtype": "bfloat16"}])
def test_it_learns(folder, changes):
    output = train(folder, **changes)
    first, *_, last = steps(output)
    assert first["loss"] == pytest.approx(0.693147, abs=5e-3 if changes.get("dtype") else 1e-5)
    assert last["loss"] < 0.5
    assert last["rewards/margins"] > 0.5
    assert last["rewards/accuracies"] > 0.9
    evaluation = summary(output)["eval_metrics"]
    assert evaluation["eval_loss"] < 0.5
    assert evaluation["eval_rewards/accuracies"] > 0.9


def test_what_it_writes(folder):
    output = train(folder, evaluate_every_steps=4)
    assert sorted(path.name for path in output.iterdir()) == ["config.json", "metrics.jsonl", "policy", "summary.json"]
    assert set(steps(output)[0]) == {
        "step", "steps", "epoch", "loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies",
        "rewards/margins", "logps/chosen", "logps/rejected", "log_ratio/chosen", "log_ratio/rejected", "grad_norm",
        "learning_rate", "tokens_per_second", "padding_share", "cut_share", "peak_memory_bytes",
    }  # fmt: skip
    assert [line["step"] for line in lines(output) if "eval_loss" in line] == [4, 6]
    stages = [line["stage"] for line in lines(output) if "stage" in line]
    assert list(dict.fromkeys(stages)) == ["loading", "reference", "training", "evaluating", "saving"]
    assert all(line["done"] <= line["total"] for line in lines(output) if "stage" in line)
    found = summary(output)
    assert found["config"] == json.loads((output / "config.json").read_text())
    assert found["data"]["groups"] == 12
    assert found["held_out"]["groups"] == 4
    assert found["reference"]["computed"] == 64
    assert found["policy_fingerprint"] == weights_fingerprint(output / "policy")
    assert set(found["seconds"]) == {"loading", "reference", "training", "saving", "total"}
    assert found["metrics"] == steps(output)[-1]


def test_an_adapter_loads_as_it_is(folder):
    output = train(folder)
    settings = json.loads((output / "policy" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(folder / "model")
    assert (settings["r"], settings["lora_alpha"], settings["bias"]) == (4, 8, "none")
    assert "lm_head" not in settings["target_modules"]
    names = load_file(output / "policy" / "adapter_model.safetensors")
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in names)
    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    ids = torch.tensor([[1, 50, 51]])
    before = base(input_ids=ids).logits.detach()
    adapted = peft.PeftModel.from_pretrained(base, output / "policy")
    assert (adapted(input_ids=ids).logits - before).abs().max() > 1e-2


def test_a_full_checkpoint_loads_as_it_is(folder):
    output = train(folder, **FULL)
    assert AutoModelForCausalLM.from_pretrained(output / "policy").dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(output / "policy")
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(folder / "model").chat_template
    assert weights_fingerprint(output / "policy") != weights_fingerprint(folder / "model")


def test_a_round_goes_on_from_the_last_rounds_adapter(folder):
    first = train(folder, "first")
    adapter = str(first / "policy")
    second = train(folder, "second", adapter=adapter)
    # Its reference is the adapter policy itself, so it starts at ln 2 and is not the base model again.
    assert steps(second)[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert steps(second)[0]["logps/rejected"] < steps(first)[0]["logps/rejected"] - 1
    assert weights_fingerprint(second / "policy") != weights_fingerprint(first / "policy")
    # With the base model as the reference it starts where the first round ended.
    third = train(folder, "third", adapter=adapter, reference={"model": str(folder / "model")})
    assert steps(third)[0]["rewards/margins"] > 0.5


def test_a_reference_may_be_an_adapter_policy(folder):
    first = train(folder, "first")
    reference = {"model": str(folder / "model"), "adapter": str(first / "policy")}
    second = train(folder, "second", reference=reference, **FULL)
    assert steps(second)[0]["rewards/margins"] < -0.5


@pytest.mark.parametrize(
    ("lora", "sentence"),
    [
        (
            {"rank": 8, "alpha": 8, "target_modules": "all-linear"},
            r"`lora.rank` is 8, but the adapter in .* that is to be trained further has 4",
        ),
        (
            {"rank": 4, "alpha": 4, "target_modules": "all-linear"},
            r"`lora.alpha` is 4, but the adapter in .* has 8. Give 8, or merge",
        ),
        ({"rank": 4, "alpha": 8, "target_modules": ["q_proj"]}, r"`lora.target_modules` is \['q_proj'\], but"),
    ],
)
def test_it_rejects_another_adapter_shape(folder, lora, sentence):
    first = train(folder, "first", max_steps=1)
    with pytest.raises(ModelError, match=sentence):
        train(folder, "second", adapter=str(first / "policy"), lora=lora)


def test_it_rejects_an_adapter_that_leaves_out_what_is_asked_for(folder):
    lora = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    first = train(folder, "first", max_steps=1, lora=lora)
    train(folder, "second", adapter=str(first / "policy"), max_steps=1, lora=lora)
    with pytest.raises(ModelError, match=r'"all-linear", but the adapter in .* leaves out .*k_proj'):
        train(folder, "third", adapter=str(first / "policy"))


def test_it_rejects_an_adapter_that_vllm_cannot_serve(folder):
    first = train(folder, "first", max_steps=1)
    path = first / "policy" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": True}))
    with pytest.raises(ModelError, match=r"is not plain LoRA \(use_dora\), so vLLM could not serve it"):
        train(folder, "second", adapter=str(first / "policy"))


@pytest.mark.parametrize("changes", [{"deterministic": True}, FULL])
def test_two_runs_are_bit_identical(folder, changes):
    outputs = [train(folder, name, **changes) for name in ("one", "two")]
    assert len({weights_fingerprint(output / "policy") for output in outputs}) == 1
    assert len({json.dumps([line["loss"] for line in steps(output)]) for output in outputs}) == 1
    other = train(folder, "three", **(changes | {"seed": 8}))
    assert weights_fingerprint(other / "policy") != weights_fingerprint(outputs[0] / "policy")


def test_the_reference_cache_is_used_again(folder):
    cache = {"reference_cache": str(folder / "cache")}
    first = train(folder, "first", **cache)
    second = train(folder, "second", loss=make_loss(beta=0.5), **cache)
    third = train(folder, "third", dtype="bfloat16", max_steps=1, **cache)
    computed = [summary(output)["reference"]["computed"] for output in (first, second, third)]
    assert computed == [64, 0, 64]
    again = train(folder, "again", **cache)
    assert weights_fingerprint(again / "policy") == weights_fingerprint(first / "policy")


def test_a_cut_off_cache_line_is_computed_again(folder):
    cache = folder / "cache"
    train(folder, "first", max_steps=1, reference_cache=str(cache))
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    second = train(folder, "second", max_steps=1, reference_cache=str(cache))
    assert summary(second)["reference"]["computed"] == 1
    third = train(folder, "third", max_steps=1, reference_cache=str(cache))
    assert summary(third)["reference"]["computed"] == 0


def test_a_group_longer_than_the_budget_trains_to_the_same_weights(folder):
    whole = load_file(train(folder, "whole") / "policy" / "adapter_model.safetensors")
    split = load_file(train(folder, "split", token_budget=40) / "policy" / "adapter_model.safetensors")
    assert all((whole[name] - split[name]).abs().max() < 2e-3 for name in whole)


def test_held_out_groups_without_a_pair_are_said(folder):
    tied = [group | {"rankings": [{"tiers": [[0, 1, 2, 3]]}]} for group in make_groups(3)]
    write_jsonl(folder / "held_out.jsonl", tied)
    found = summary(train(folder, max_steps=1))
    assert (found["held_out"]["groups"], found["held_out"]["groups_without_pairs"]) == (0, 3)
    assert found["warnings"] == [
        f"The file {folder / 'held_out.jsonl'} has no usable pair, so nothing is measured on held-out answers."
    ]
    assert found["eval_metrics"] == {}


def test_it_stops_where_nobody_preferred_anything(folder):
    tied = [group | {"rankings": [{"tiers": [[0, 1, 2, 3]]}]} for group in make_groups(3)]
    write_jsonl(folder / "train.jsonl", tied)
    with pytest.raises(DataError, match=r"has no group with a usable pair: among its 3 groups, nobody preferred"):
        train(folder)
    assert not (folder / "run" / "policy").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "/nowhere"}, r"The folder /nowhere does not exist. Give the folder of a model or adapter."),
        ({"adapter": "/nowhere"}, r"The folder /nowhere"),
        ({"data": "/nowhere.jsonl"}, r"The data file /nowhere.jsonl cannot be read"),
        (
            {"lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "nothing"]}},
            r"`lora.target_modules` names nothing, which the model does not have. Its linear layers are: down_proj, ",
        ),
        (
            {"lora": {"rank": 4, "alpha": 8, "target_modules": ["lm_head"]}},
            r"`lora.target_modules` names lm_head, which is no linear layer inside the model, so vLLM could not",
        ),
    ],
)
def test_it_stops_with_a_sentence(folder, changes, sentence):
    with pytest.raises(EngineError, match=sentence):
        train(folder, **changes)


def test_nothing_to_train_stops_the_run(folder, monkeypatch):
    wrap = peft.get_peft_model
    monkeypatch.setattr(peft, "get_peft_model", lambda *arguments: wrap(*arguments).requires_grad_(False))
    with pytest.raises(ModelError, match="No weight would be trained: the model has no trainable parameter."):
        train(folder)


def test_the_check_reads_the_data_and_trains_nothing(folder):
    config = folder / "config.json"
    config.write_text(json.dumps(make_config(folder, max_completion_tokens=4)))
    done = subprocess.run(**command(config, "--check"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"data: {folder / 'train.jsonl'}"
    assert {"  groups: 12", "  completions: 48", "  pairs: 36", "  completions_cut: 48"} <= set(lines)
    assert f"held_out: {folder / 'held_out.jsonl'}" in lines
    assert not (folder / "run").exists()
    (folder / "train.jsonl").write_text('{"prompt": 3}\n')
    done = subprocess.run(**command(config, "--check"), capture_output=True, text=True)
    assert done.returncode == 1
    assert "line 1 must have" in done.stderr


@pytest.mark.parametrize("name", ["sigmoid_norm", "robust", "hinge", "ipo", "ipo_norm", "plackett_luce"])
def test_every_loss_learns(folder, name):
    beta = {"sigmoid_norm": 2.0, "ipo_norm": 2.0}.get(name, 0.1)
    smoothing = 0.1 if name == "robust" else 0.0
    loss = make_loss(name=name, beta=beta, label_smoothing=smoothing, ties="half", nll_weight=0.1)
    found = steps(train(folder, loss=loss, epochs=4))
    assert found[-1]["loss"] < found[0]["loss"]
    if not name.endswith("_norm"):  # rewards are sums, and longer answers have larger ones
        assert found[-1]["rewards/accuracies"] > 0.9
    assert found[-1]["log_ratio/chosen"] > found[-1]["log_ratio/rejected"]


def test_plain_pairs_train(folder):
    rows = [
        {"chosen": f"\n\nHuman: say {i}\n\nAssistant: ok", "rejected": f"\n\nHuman: say {i}\n\nAssistant: no no"}
        for i in range(8)
    ]
    write_jsonl(folder / "train.jsonl", rows)
    assert steps(train(folder, held_out=None))[-1]["rewards/accuracies"] == 1


@pytest.mark.parametrize("output", ["model", "model/run", "."])
def test_it_does_not_write_into_the_model_s_folder(folder, output):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(EngineError, match="overlap. Give another `output`."):
        train(folder, output)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_policy_of_somebody_else_is_not_removed(folder):
    (folder / "run/policy").mkdir(parents=True)
    (folder / "run/policy/mine.txt").write_text("mine")
    with pytest.raises(EngineError, match=r"holds a policy already. Give another `output`."):
        train(folder)
    assert (folder / "run/policy/mine.txt").exists()


def test_rows_longer_than_the_model_reads_are_refused(folder):
    write_jsonl(folder / "train.jsonl", [{"prompt": "x" * 1100, "chosen": "a", "rejected": "b"}])
    with pytest.raises(
        DataError, match=r"has 1102 tokens, and the model reads at most 1024. Lower `max_prompt_tokens`"
    ):
        train(folder, max_prompt_tokens=2000)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "generation_config.json"])
def test_files_of_a_model_that_make_no_sense_are_named(folder, file):
    (folder / "model" / file).write_text('{"a": 1}' if file == "tokenizer.json" else "{")
    with pytest.raises(ModelError, match="cannot be (loaded|read)"):
        train(folder)


def test_it_refuses_a_folder_that_holds_a_policy(folder):
    train(folder, max_steps=1)
    with pytest.raises(EngineError, match=r"holds a policy already. Give another `output`."):
        train(folder)


def test_it_refuses_a_checkpoint_that_lacks_weights(folder):
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    del weights["model.norm.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of its model \(model.norm.weight\)"):
        train(folder)


def test_a_policy_is_written_whole_or_not_at_all(folder, monkeypatch):
    def full_disk(path):
        if "policy.tmp" in str(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.engine.output.sync", full_disk)
    with pytest.raises(EngineError, match=r"could not be written: .*No space left on device"):
        train(folder, max_steps=1)
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["config.json", "metrics.jsonl"]


def test_a_stop_request_is_obeyed_and_leaves_no_policy(folder):
    stop = StopRequest()
    stop.request()
    with pytest.raises(Stopped, match="asked to stop and has stopped. No policy was written;"):
        run(TrainingConfig.from_dict(make_config(folder)), stop)
    assert not (folder / "run" / "policy").exists()


def test_the_command_in_the_docstring(tmp_path):
    make = [sys.executable, "-m", "tests.engine.tiny", str(tmp_path / "tiny")]
    subprocess.run(make, check=True, cwd=ROOT)
    done = subprocess.run(**command(tmp_path / "tiny" / "config.json"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "step 6/6 loss 0." in done.stdout
    assert (tmp_path / "tiny" / "run" / "policy" / "adapter_model.safetensors").exists()


def test_sigterm_ends_it_with_143(folder):
    config = folder / "config.json"
    config.write_text(json.dumps(make_config(folder, epochs=100_000)))
    process = subprocess.Popen(**command(config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step 3"):
            break
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 143
    assert error.endswith("No policy was written; the same command goes on from its last checkpoint.\n")
    assert "has stopped" in json.loads((folder / "run" / "error.json").read_text())["error"]
    assert not (folder / "run" / "policy").exists()


def test_errors_reach_stderr_and_error_json(folder):
    output = folder / "run"
    output.mkdir()
    config = folder / "config.json"
    config.write_text(json.dumps(make_config(folder, epochs=0)))
    done = subprocess.run(**command(config), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "`epochs` must be a whole number of 1 or more, got 0.\n"
    assert json.loads((output / "error.json").read_text()) == {"error": done.stderr.strip()}

    (folder / "train.jsonl").write_text("{}\n")
    config.write_text(json.dumps(make_config(folder)))
    done = subprocess.run(**command(config), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{folder / 'train.jsonl'}, line 1 must have `prompt`")
    assert json.loads((output / "error.json").read_text()) == {"error": done.stderr.strip()}
