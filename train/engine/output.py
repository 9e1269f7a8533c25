"""The run folder: files that appear whole or not at all, and the metrics as they come."""

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from train.engine.errors import EngineError

STEP_KEYS = ("loss", "rewards/margins", "rewards/accuracies", "eval_loss", "eval_rewards/accuracies")


class Metrics:
    """Appends one JSON object per line to metrics.jsonl, at once, and shows it on the terminal."""

    def __init__(self, path: Path) -> None:
        """Keep lines in memory until `begin`."""
        self.path = path
        self.waiting: list[str] = []
        self.file: BinaryIO | None = None
        self.size = 0  # bytes of the file
        self.warnings: list[str] = []

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.file is not None:
            self.file.close()

    def begin(self, kept: int = 0) -> list[dict[str, Any]]:
        """Begin a new file with the first `kept` bytes of the old one, and return these as lines.

        The old file is replaced, never shortened, so that whoever follows it can tell which one they read.
        """
        old = self.path.read_bytes()[:kept] if kept and self.path.exists() else b""
        lines = list(whole_lines(old))
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self.file, self.size = open(self.path, "ab"), self.path.stat().st_size  # noqa: SIM115 (closed by __exit__)
        for line in self.waiting:
            self._append(line)
        self.waiting = []
        self.warnings = [line["warning"] for line in lines if "warning" in line] + self.warnings
        return lines

    def write(self, values: dict[str, Any]) -> None:
        """Append a line. Numbers that are not finite become null: JSON has no others."""
        finite = only_finite(values)
        line = json.dumps(finite, allow_nan=False) + "\n"
        if self.file is None:
            self.waiting.append(line)
        else:
            self._append(line)
        with contextlib.suppress(OSError):  # the terminal is gone; the file is the record
            sys.stdout.write(terminal_line(finite) + "\n")
            sys.stdout.flush()

    def stage(self, stage: str, done: int, total: int) -> None:
        """Append how far a stage has come, in the stage's own unit."""
        self.write({"stage": stage, "done": done, "total": total})

    def warn(self, sentence: str) -> None:
        """Append what a person should be told."""
        self.warnings.append(sentence)
        self.write({"warning": sentence})

    def sync(self) -> None:
        """Wait until the lines are on the disk."""
        if self.file is not None:
            os.fsync(self.file.fileno())

    def _append(self, line: str) -> None:
        assert self.file is not None
        self.size += self.file.write(line.encode())
        self.file.flush()


def only_finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with null for the numbers that are not finite: JSON has none of them."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }


def terminal_line(values: dict[str, Any]) -> str:
    """Return a metrics line as a person reads it."""
    if "warning" in values:
        return f"WARNING: {values['warning']}"
    if "stage" in values:
        return f"{values['stage']} {values['done']}/{values['total']}"
    shown = [f"{key} {values[key]:.4f}" for key in STEP_KEYS if isinstance(values.get(key), float)]
    notes = [values["skipped"]] if "skipped" in values else []
    return " ".join([f"step {values['step']}/{values['steps']}", *shown, *notes])


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def whole_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield the lines of JSON up to the first that is damaged: a power cut may have taken the end of the file."""
    for line in content.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            return
        if not isinstance(values, dict):
            return
        yield values


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
