"""One training run from configuration to policy: data, reference pass, training, saving."""

import gc
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers

from train.engine.config import TrainingConfig
from train.engine.errors import DataError, EngineError
from train.engine.fingerprint import weights_fingerprint
from train.engine.groups import file_digest, read_groups
from train.engine.models import (
    autocast_dtype,
    end_ids,
    load_reference,
    load_tokenizer,
    load_trainable,
    save_policy,
    vocabulary_size,
    weights_dtype,
)
from train.engine.output import Metrics, write_json
from train.engine.reference import ReferenceLogProbs, policy_fingerprint
from train.engine.stop import StopRequest
from train.engine.tokens import Group, GroupTokenizer
from train.engine.training import check_start, peak_memory_bytes, total_steps, train

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
    """Train a policy and write the run folder.

    Raises:
        EngineError: the run cannot go on; no policy was written.
        Stopped: it was asked to stop; no policy was written.
    """
    output = prepare_output(config)
    metrics = Metrics(output / "metrics.jsonl")
    clock = Clock()
    device = prepare_torch(config)
    try:
        with clock.measure("total"):
            results = run_stages(config, output, device, metrics, clock, stop)
    except torch.OutOfMemoryError as exc:
        raise EngineError(
            f"The device ran out of memory with `token_budget` {config.token_budget}. Halve it and start again. ({exc})"
        ) from exc
    summary = {
        "config": config.to_dict(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory_bytes(),
        "seconds": clock.seconds,
        **results,
    }
    write_json(output / "summary.json", summary)


def run_stages(
    config: TrainingConfig, output: Path, device: torch.device, metrics: Metrics, clock: Clock, stop: StopRequest
) -> dict[str, Any]:
    """Go through the stages of the run and return what they found out, for the summary."""
    with clock.measure("loading"):
        metrics.stage("loading", 0, 1)
        tokenizer = load_tokenizer(config.model)
        groups, data = load_groups(config.data, tokenizer, config)
        held_out, held_out_data = load_groups(config.held_out, tokenizer, config) if config.held_out else ([], None)
        if not groups:
            raise DataError(
                f"The data file {config.data} has no group with a usable pair: among its "
                f"{data['groups_without_pairs']} groups, nobody preferred one answer to another. "
                "Collect judgements first."
            )
        metrics.stage("loading", 1, 1)
    stop.check()
    model, reference, computed = load_model(config, groups + held_out, device, metrics, clock, stop)
    groups, held_out = reference.attach(groups), reference.attach(held_out)
    with clock.measure("training"):
        if config.reference_is_start:
            check_start(model, groups, config, stop)
        metrics.stage("training", 0, total_steps(config, len(groups)))
        last, evaluation = train(model, groups, held_out, config, metrics, stop)
    with clock.measure("saving"):
        metrics.stage("saving", 0, 1)
        save_policy(model, tokenizer, config, output / "policy")
        metrics.stage("saving", 1, 1)
    return {
        "data": data,
        "held_out": held_out_data,
        "reference": {"fingerprint": reference.fingerprint, "computed": computed},
        "policy_fingerprint": weights_fingerprint(output / "policy"),
        "metrics": last,
        "eval_metrics": evaluation,
    }


def load_model(
    config: TrainingConfig,
    groups: list[Group],
    device: torch.device,
    metrics: Metrics,
    clock: Clock,
    stop: StopRequest,
) -> tuple[Any, ReferenceLogProbs, int]:
    """Run the reference pass over all groups and load the starting policy, one model in memory at a time.

    Returns:
        The model that is to be trained, the reference log-probabilities, and how many of them were not in
        the cache.
    """
    policy = config.reference or config.start
    with clock.measure("loading"):
        numbers = f"{autocast_dtype(config)} {weights_dtype(config)} {device.type}"
        reference = ReferenceLogProbs(config.reference_cache, policy_fingerprint(policy), numbers)
        missing = reference.missing(groups)
        separate = bool(missing) and not config.reference_is_start
        model = load_reference(policy, config, device) if separate else load_trainable(config, device)
    if missing:
        with clock.measure("reference"):
            reference.compute(
                model,
                missing,
                token_budget=config.token_budget,
                dtype=autocast_dtype(config),
                metrics=metrics,
                stop=stop,
            )
    if separate:
        del model
        release_memory()
        with clock.measure("loading"):
            model = load_trainable(config, device)
    return model, reference, len(missing)


def prepare_output(config: TrainingConfig) -> Path:
    """Make the run folder ready and keep the configuration in it.

    Raises:
        EngineError: it holds a policy already, or cannot be written.
    """
    output = Path(config.output)
    if (output / "policy").exists():
        raise EngineError(f"The run folder {output} holds a policy already. Give another `output`.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for stale in ("error.json", "summary.json"):
            (output / stale).unlink(missing_ok=True)
        write_json(output / "config.json", config.to_dict())
    except OSError as exc:
        raise EngineError(f"The run folder {output} cannot be written: {exc.strerror}.") from exc
    return output


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
    groups = group_tokenizer.tokenize(raw, count=config.loss.votes == "count", half_ties=config.loss.ties == "half")
    return groups, {"sha256": file_digest(path), **group_tokenizer.counts.as_dict()}


def release_memory() -> None:
    """Give the memory of a model that is no longer referred to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
