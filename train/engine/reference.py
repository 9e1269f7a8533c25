"""Log-probabilities under the reference policy, computed before training and kept by content."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from train.engine.config import PolicyConfig
from train.engine.fingerprint import weights_fingerprint
from train.engine.log_probs import score_batches
from train.engine.output import Metrics
from train.engine.stop import StopRequest
from train.engine.tokens import Group, TokenSequence


def policy_fingerprint(policy: PolicyConfig) -> str:
    """Return what a policy's weights are known by: the model's fingerprint, and the adapter's where it has one."""
    parts = [policy.model] if policy.adapter is None else [policy.model, policy.adapter]
    return "+".join(weights_fingerprint(part) for part in parts)


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
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                key, value = json.loads(line)
                self.known[str(key)] = float(value)
            except (ValueError, TypeError):
                continue

    def key(self, sequence: TokenSequence) -> str:
        """Return what a row's value is kept under."""
        content = json.dumps([self.context, sequence.prompt, sequence.completion])
        return hashlib.sha256(content.encode()).hexdigest()

    def missing(self, groups: list[Group]) -> list[TokenSequence]:
        """Return the rows whose value is not known, each once."""
        rows = {self.key(sequence): sequence for group in groups for sequence in group.sequences}
        return [sequence for key, sequence in rows.items() if key not in self.known]

    def compute(
        self,
        model: Any,
        sequences: list[TokenSequence],
        *,
        token_budget: int,
        dtype: torch.dtype,
        metrics: Metrics,
        stop: StopRequest,
    ) -> None:
        """Send rows through the reference policy and keep their values; progress is in rows."""
        done = 0
        metrics.stage("reference", done, len(sequences))
        for rows, log_probs in score_batches(model, sequences, token_budget=token_budget, dtype=dtype):
            self._keep([self.key(sequences[row]) for row in rows], log_probs.tolist())
            done += len(rows)
            metrics.stage("reference", done, len(sequences))
            stop.check()

    def _keep(self, keys: list[str], values: list[float]) -> None:
        self.known.update(zip(keys, values, strict=True))
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                # The leading line break parts the first line from one that was cut off.
                file.write("\n" + "".join(json.dumps(pair) + "\n" for pair in zip(keys, values, strict=True)))

    def attach(self, groups: list[Group]) -> list[Group]:
        """Return the groups with their reference log-probabilities."""
        return [
            replace(group, reference=[self.known[self.key(sequence)] for sequence in group.sequences])
            for group in groups
        ]
