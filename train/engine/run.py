"""One training run from configuration to policy: data, reference pass, training, saving."""

import fcntl
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers

from train.engine.checkpoints import Checkpoints, Identity, read_state
from train.engine.config import TrainingConfig
from train.engine.errors import DataError, EngineError
from train.engine.fingerprint import settings_digest, tokenizer_fingerprint, weights_fingerprint
from train.engine.groups import file_digest, read_groups
from train.engine.memory import TokenBudget, is_out_of_memory, peak_memory_bytes, release_memory
from train.engine.models import (
    autocast_dtype,
    end_ids,
    load_reference,
    load_tokenizer,
    load_trainable,
    most_positions,
    save_policy,
    vocabulary_size,
    weights_dtype,
)
from train.engine.output import Metrics, write_json
from train.engine.reference import ReferenceLogProbs
from train.engine.stop import StopRequest
from train.engine.tokens import Group, GroupTokenizer
from train.engine.training import Trainer, check_start

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors")


class Clock:
    """Adds up the seconds spent in each part of the run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Count the time inside the block for `part`."""
        began = time.perf_counter()
        yield
        self.seconds[part] = round(self.seconds.get(part, 0.0) + time.perf_counter() - began, 3)


def run(config: TrainingConfig, stop: StopRequest) -> None:
    """Train a policy and write the run folder; go on from its last checkpoint where it has one.

    Raises:
        EngineError: the run cannot go on; no policy was written.
        Stopped: it was asked to stop; no policy was written.
    """
    output = prepare_output(config)
    clock = Clock()
    device = prepare_torch(config)
    with alone_in(output), Metrics(output / "metrics.jsonl") as metrics, clock.measure("total"):
        budget = TokenBudget(config.token_budget, device.type, metrics.warn)
        try:
            results = run_stages(config, output, device, budget, metrics, clock, stop)
        except RuntimeError as exc:  # where fewer tokens at once could not help
            if is_out_of_memory(exc):
                raise EngineError(
                    "The device has too little memory for the model's weights and the optimizer's state. Train with "
                    f"LoRA, or take a larger device. ({str(exc).partition(chr(10))[0]})"
                ) from exc
            raise
    summary = {
        "config": config.to_dict(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory_bytes(),
        "token_budget": budget.tokens,
        "seconds": clock.seconds,
        "warnings": metrics.warnings,
        **results,
    }
    write_json(output / "summary.json", summary)


def run_stages(
    config: TrainingConfig,
    output: Path,
    device: torch.device,
    budget: TokenBudget,
    metrics: Metrics,
    clock: Clock,
    stop: StopRequest,
) -> dict[str, Any]:
    """Go through the stages of the run and return what they found out, for the summary."""
    with clock.measure("loading"):
        metrics.stage("loading", 0, 1)
        tokenizer = load_tokenizer(config.model)
        groups, data = load_groups(config.data, tokenizer, config)
        held_out, held_out_data = load_groups(config.held_out, tokenizer, config) if config.held_out else ([], None)
        check_groups(groups, data, config)
        if config.held_out and not held_out:
            metrics.warn(f"The file {config.held_out} has no usable pair, so nothing is measured on held-out answers.")
        known = Identity(config.to_dict(), read_files(config, tokenizer, data, held_out_data))
        checkpoints = Checkpoints(output / "checkpoints", known)
        checkpoint = checkpoints.newest()
        begin(output, config)
        lines = metrics.begin(read_state(checkpoint)["state"]["metrics_bytes"] if checkpoint else 0)
        metrics.stage("loading", 1, 1)
    stop.check()
    reference_name = str(known.files["reference"])
    model, reference, computed = load_model(
        config, reference_name, groups + held_out, device, budget, metrics, clock, stop
    )
    groups, held_out = reference.attach(groups), reference.attach(held_out)
    with clock.measure("training"):
        if config.reference_is_start and checkpoint is None:
            longest = max(sequence.length for group in groups for sequence in group.sequences)
            budget.retry(lambda: check_start(model, groups, config, budget, stop), longest=longest)
        trainer = Trainer(model, groups, held_out, config, budget, metrics, checkpoints, stop)
        if checkpoint is not None:
            trainer.resume(checkpoint, lines)
        metrics.stage("training", trainer.state.step, trainer.steps)
        trainer.run()
    with clock.measure("saving"):
        metrics.stage("saving", 0, 1)
        save_policy(model, tokenizer, config, output / "policy")
        metrics.stage("saving", 1, 1)
    return {
        "data": data,
        "held_out": held_out_data,
        "reference": {"fingerprint": reference_name, "computed": computed},
        "policy_fingerprint": weights_fingerprint(output / "policy"),
        "metrics": trainer.last,
        "eval_metrics": trainer.evaluation,
    }


def check_groups(groups: list[Group], data: dict[str, Any], config: TrainingConfig) -> None:
    """Raise DataError unless there is something to train on that the model can read."""
    if not groups:
        without = data["groups_without_pairs"]
        why = f"among its {without} groups, nobody preferred one answer to another" if without else "it is empty"
        raise DataError(
            f"The data file {config.data} has no group with a usable pair: {why}. Collect judgements first."
        )
    longest = max(sequence.length for group in groups for sequence in group.sequences)
    most = most_positions(config.model)
    if most is not None and longest > most:
        raise DataError(
            f"The longest prompt with its answer has {longest} tokens, and the model reads at most {most}. "
            "Lower `max_prompt_tokens` or `max_completion_tokens`."
        )


def read_files(
    config: TrainingConfig, tokenizer: Any, data: dict[str, Any], held_out: dict[str, Any] | None
) -> dict[str, str | None]:
    """Return what the files that the run reads are known by: weights, settings, tokenizer, data."""
    reference = config.reference or config.start
    prints = {
        folder: "/".join([weights_fingerprint(folder), settings_digest(folder)])
        for folder in {*config.start.folders, *reference.folders}
    }
    ends = ",".join(map(str, end_ids(config.model, tokenizer)))
    return {
        "data": data["sha256"],
        "held_out": held_out["sha256"] if held_out else None,
        "model": f"{prints[config.model]}/{tokenizer_fingerprint(tokenizer)}/{ends}",
        "adapter": prints[config.adapter] if config.adapter else None,
        "reference": "+".join(prints[folder] for folder in reference.folders),
    }


def load_model(
    config: TrainingConfig,
    reference_name: str,
    groups: list[Group],
    device: torch.device,
    budget: TokenBudget,
    metrics: Metrics,
    clock: Clock,
    stop: StopRequest,
) -> tuple[Any, ReferenceLogProbs, int]:
    """Run the reference pass over all groups and load the starting policy, one model in memory at a time.

    Returns:
        The model that is to be trained, the reference log-probabilities, and how many of them were not in
        the cache.
    """
    with clock.measure("loading"):
        numbers = f"{autocast_dtype(config)} {weights_dtype(config)} {device.type}"
        reference = ReferenceLogProbs(config.reference_cache, reference_name, numbers)
        rows = reference.rows(groups)
        missing = reference.missing(rows)
        separate = missing > 0 and not config.reference_is_start
        policy = config.reference or config.start
        model = load_reference(policy, config, device) if separate else load_trainable(config, device)
    if missing:

        def compute() -> None:
            reference.compute(model, rows, budget=budget, dtype=autocast_dtype(config), metrics=metrics, stop=stop)

        with clock.measure("reference"):
            budget.retry(compute, longest=max(row.length for row in rows))
    if separate:
        del model
        release_memory()
        with clock.measure("loading"):
            model = load_trainable(config, device)
    return model, reference, missing


def prepare_output(config: TrainingConfig) -> Path:
    """Make the run folder; what is in it stays as it is.

    Raises:
        EngineError: it holds a policy already, or cannot be written.
    """
    output = Path(config.output)
    for folder in {*config.start.folders, *(config.reference or config.start).folders}:
        mine, other = output.resolve(), Path(folder).resolve()
        if mine == other or other in mine.parents or mine in other.parents:
            raise EngineError(
                f"The run folder {output} and the model's folder {folder} overlap. Give another `output`."
            )
    if (output / "policy").exists() and ((output / "summary.json").exists() or not is_run_of(config, output)):
        raise EngineError(f"The run folder {output} holds a policy already. Give another `output`.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise EngineError(f"The run folder {output} cannot be written: {exc.strerror}.") from exc
    return output


def is_run_of(config: TrainingConfig, output: Path) -> bool:
    """Whether this is the folder of an earlier run of the same configuration."""
    try:
        return TrainingConfig.load(output / "config.json").difference(config) is None
    except EngineError:
        return False


@contextmanager
def alone_in(output: Path) -> Iterator[None]:
    """Hold the run folder: two trainers in one would remove each other's files."""
    descriptor = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise EngineError(f"Another trainer is at work in the run folder {output}. Wait for it, or stop it.") from exc
    finally:
        os.close(descriptor)


def begin(output: Path, config: TrainingConfig) -> None:
    """Keep the configuration in the run folder, and remove what a run that was killed left unfinished there."""
    for stale in ("error.json", "summary.json"):
        (output / stale).unlink(missing_ok=True)
    for unfinished in output.glob("*.json*.tmp-*"):
        unfinished.unlink()
    # A policy without a summary: the run was killed between the two.
    for unfinished in (output / "policy", *output.glob("policy.tmp-*")):
        shutil.rmtree(unfinished, ignore_errors=True)
    write_json(output / "config.json", config.to_dict())


def prepare_torch(config: TrainingConfig) -> torch.device:
    """Set threads, seed and determinism for this process, and return the device to train on."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    torch.manual_seed(config.seed)
    transformers.utils.logging.disable_progress_bar()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_groups(path: str, tokenizer: Any, config: TrainingConfig) -> tuple[list[Group], dict[str, Any]]:
    """Read and tokenise a data file; return its groups, which may be none, and its hash and counts.

    Raises:
        DataError: a line is wrong.
    """
    raw = read_groups(path)
    group_tokenizer = GroupTokenizer(
        tokenizer,
        end_ids(config.model, tokenizer),
        vocabulary_size(config.model),
        config.max_prompt_tokens,
        config.max_completion_tokens,
    )
    groups = group_tokenizer.tokenize(raw, config.loss)
    return groups, {"sha256": file_digest(path), **group_tokenizer.counts.as_dict()}
