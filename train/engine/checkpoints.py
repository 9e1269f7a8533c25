"""Checkpoints of a run: whole or not at all, the last two kept, and only for the run that wrote them.

checkpoints/step-00000040/weights.safetensors      what is trained
                          optimizer.safetensors    AdamW's moments and step counts, NAME.KEY
                          state.json               `State`, and what the run is known by
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from train.engine.config import TrainingConfig
from train.engine.errors import EngineError
from train.engine.output import write_folder, write_json

KEPT = 2


@dataclass(frozen=True)
class Identity:
    """What a run is known by: only the same run may go on from its checkpoints."""

    config: dict[str, Any]
    files: dict[str, str | None]  # fingerprints and digests of what it reads, by the configuration's field

    def check(self, other: "Identity", folder: Path) -> None:
        """Raise EngineError unless the other is the same run."""
        mine, others = TrainingConfig.from_dict(self.config), TrainingConfig.from_dict(other.config)
        changed = mine.difference(others)
        if changed is not None:
            raise EngineError(
                f"The run folder {folder} holds checkpoints of another run: its `{changed}` is "
                f"{others.to_dict()[changed]!r}, now it is {mine.to_dict()[changed]!r}. Give another `output`, or the "
                "configuration that the run began with."
            )
        for name, digest in self.files.items():
            if digest != other.files.get(name):
                raise EngineError(
                    f"What `{name}` names has changed since the run in {folder} began, so the run cannot go on. "
                    "Bring the old files back, or give another `output` and begin again."
                )


@dataclass(frozen=True)
class State:
    """What the training loop carries beside weights and optimizer."""

    step: int = 0  # optimizer steps done
    skipped: int = 0  # steps in a row whose loss or gradient was not finite
    metrics_bytes: int = 0  # length of metrics.jsonl after the last step
    token_budget: int | None = None  # in force; None is the configuration's


class Checkpoints:
    """The folder of one run's checkpoints."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        """Remove what was not written, or not removed, to its end."""
        self.folder = folder
        self.identity = identity
        for unfinished in folder.glob("*.tmp-*"):
            shutil.rmtree(unfinished)

    def newest(self) -> Path | None:
        """Return the newest checkpoint's folder.

        Raises:
            EngineError: it is of another run.
        """
        whole = self._all()
        if not whole:
            return None
        self.identity.check(Identity(**read_state(whole[-1])["identity"]), self.folder.parent)
        return whole[-1]

    def save(self, model: Any, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Write a checkpoint, unless this step has one, and remove all but the last two.

        Raises:
            EngineError: it could not be written; the earlier ones are still there.
        """
        target = self.folder / f"step-{state.step:08d}"
        if not target.exists():
            self.folder.mkdir(exist_ok=True)
            write_folder(target, lambda temporary: self._fill(temporary, model, optimizer, state))
        for old in self._all()[:-KEPT]:
            gone = old.with_name(f"{old.name}.tmp-old")
            old.rename(gone)
            shutil.rmtree(gone)

    def _fill(self, folder: Path, model: Any, optimizer: torch.optim.Optimizer, state: State) -> None:
        weights, moments = {}, {}
        for name, parameter in trainable(model).items():
            weights[name] = parameter.detach().contiguous()
            for key, value in optimizer.state[parameter].items():
                moments[f"{name}.{key}"] = value.contiguous()
        save_file(weights, folder / "weights.safetensors")
        save_file(moments, folder / "optimizer.safetensors")
        write_json(folder / "state.json", {"state": asdict(state), "identity": asdict(self.identity)})

    def _all(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if ".tmp-" not in path.name)


def restore(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> State:
    """Give model and optimizer the values of a checkpoint and return its state.

    Raises:
        EngineError: the checkpoint is damaged.
    """
    try:
        weights = load_file(folder / "weights.safetensors")
        moments = load_file(folder / "optimizer.safetensors")
        with torch.no_grad():
            for name, parameter in trainable(model).items():
                parameter.copy_(weights.pop(name))
                prefix = f"{name}."
                own = [key for key in moments if key.startswith(prefix) and "." not in key.removeprefix(prefix)]
                if own:  # before its first step a parameter has none
                    optimizer.state[parameter] = {
                        key.removeprefix(prefix): moments.pop(key).to(parameter.device) for key in own
                    }
    except Exception as exc:  # safetensors and torch raise what they like for a file that is not whole
        raise EngineError(
            f"The checkpoint {folder} is damaged ({exc}). Remove it: the run goes on from the one before it."
        ) from exc
    return State(**read_state(folder)["state"])


def read_state(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's state.json, or raise EngineError."""
    try:
        found: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        State(**found["state"])
        Identity(**found["identity"])
        return found
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise EngineError(
            f"The checkpoint {folder} is damaged ({exc}). Remove it: the run goes on from the one before it."
        ) from exc


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
