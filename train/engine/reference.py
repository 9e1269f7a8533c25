"""Log-probabilities under the reference policy, computed before training and kept by content."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from train.engine.batches import by_length
from train.engine.errors import EngineError
from train.engine.log_probs import sequence_log_probs
from train.engine.memory import TokenBudget
from train.engine.output import Metrics
from train.engine.stop import StopRequest
from train.engine.tokens import Group, TokenSequence


class ReferenceLogProbs:
    """log pi_ref(y | x) by content: reference weights, numbers used, prompt ids and answer ids.

    With a folder, values are appended to one file per reference as they come, so that a later run, or the
    same run started again, needs no second pass. A line that was cut off is computed again.
    """

    def __init__(self, folder: str | None, reference: str, numbers: str) -> None:
        """Read what is known already.

        Args:
            folder: where values are kept, or None.
            reference: the reference policy's fingerprint.
            numbers: dtypes and device that decide the last digits.
        """
        self.fingerprint = reference
        self.context = f"{reference} {numbers}"
        self.known: dict[str, float] = {}
        self.path: Path | None = None
        if folder is not None:
            name = hashlib.sha256(self.context.encode()).hexdigest()
            self.path = Path(folder) / f"{name}.jsonl"
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._read(self.path)

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                key, value = json.loads(line)
                self.known[str(key)] = float(value)
            except (ValueError, TypeError):
                continue

    def key(self, sequence: TokenSequence) -> str:
        """Return what a row's value is kept under."""
        content = json.dumps([self.context, sequence.prompt, sequence.completion])
        return hashlib.sha256(content.encode()).hexdigest()

    def rows(self, groups: list[Group]) -> list[TokenSequence]:
        """Return the groups' rows, each once."""
        return list({self.key(sequence): sequence for group in groups for sequence in group.sequences}.values())

    def missing(self, rows: list[TokenSequence]) -> int:
        """Return how many rows have no known value."""
        return sum(self.key(row) not in self.known for row in rows)

    def compute(
        self,
        model: Any,
        rows: list[TokenSequence],
        *,
        budget: TokenBudget,
        dtype: torch.dtype,
        metrics: Metrics,
        stop: StopRequest,
    ) -> None:
        """Send the rows whose value is not known through the reference policy and keep their values.

        Rows go through in the batches that all of them would make, so that a pass that was interrupted ends with
        the same values, to the bit, as one that was not.

        Raises:
            EngineError: a value is not finite; it is not kept.
            Stopped: the run was asked to stop.
        """
        done, total = 0, self.missing(rows)
        metrics.stage("reference", done, total)
        for batch in list(by_length(rows, budget.fill)):
            new = [row for row in batch if self.key(rows[row]) not in self.known]
            if not new:
                continue
            with torch.no_grad():
                log_probs = sequence_log_probs(model, [rows[row] for row in batch], dtype=dtype)
            if not bool(torch.isfinite(log_probs).all()):
                raise EngineError(
                    "The reference policy gives an answer a log-probability that is not finite. Its weights are "
                    "damaged, or too large for `dtype`. Choose another reference."
                )
            values = dict(zip(batch, log_probs.tolist(), strict=True))
            self._keep({self.key(rows[row]): values[row] for row in new})
            done += len(new)
            metrics.stage("reference", done, total)
            stop.check()

    def _keep(self, values: dict[str, float]) -> None:
        self.known.update(values)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                # The leading line break parts the first line from one that was cut off.
                file.write("\n" + "".join(json.dumps(pair) + "\n" for pair in values.items()))

    def attach(self, groups: list[Group]) -> list[Group]:
        """Return the groups with their reference log-probabilities."""
        return [
            replace(group, reference=[self.known[self.key(sequence)] for sequence in group.sequences])
            for group in groups
        ]
