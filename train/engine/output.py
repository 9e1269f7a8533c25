"""The run folder: files that appear whole or not at all, and the metrics as they come."""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train.engine.errors import EngineError

STEP_KEYS = ("loss", "rewards/margins", "rewards/accuracies", "eval_loss", "eval_rewards/accuracies")


class Metrics:
    """Appends one JSON object per line to metrics.jsonl, at once, and shows it on the terminal."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the run)

    def write(self, values: dict[str, Any]) -> None:
        """Append a line. Numbers that are not finite become null: JSON has no others."""
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }
        self.file.write(json.dumps(finite, allow_nan=False) + "\n")
        self.file.flush()
        sys.stdout.write(terminal_line(finite) + "\n")
        sys.stdout.flush()

    def stage(self, stage: str, done: int, total: int) -> None:
        """Append how far a stage has come, in the stage's own unit."""
        self.write({"stage": stage, "done": done, "total": total})


def terminal_line(values: dict[str, Any]) -> str:
    """Return a metrics line as a person reads it."""
    if "stage" in values:
        return f"{values['stage']} {values['done']}/{values['total']}"
    shown = [f"{key} {values[key]:.4f}" for key in STEP_KEYS if isinstance(values.get(key), float)]
    notes = [values["skipped"]] if "skipped" in values else []
    return " ".join([f"step {values['step']}/{values['steps']}", *shown, *notes])


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all: `fill` writes into a temporary one, which then gets the name.

    Raises:
        EngineError: something could not be written, for example because the disk is full.
    """
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir()
        fill(temporary)
        for file in sorted(temporary.rglob("*")):
            sync(file)
        sync(temporary)
        os.rename(temporary, path)
        sync(path.parent)
    except Exception as exc:  # safetensors reports a full disk as its own exception, not as OSError
        shutil.rmtree(temporary, ignore_errors=True)
        raise EngineError(f"The folder {path} could not be written: {exc}") from exc


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
