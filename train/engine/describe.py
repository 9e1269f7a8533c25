"""Say what a policy's folder holds, for those who must not import the tokenizer library themselves.

    python -m train.engine.describe FOLDER_OR_HUB_ID --output FACTS.json

A hub id (org/name) is downloaded first, at its newest revision or at `--revision`; safetensors only. The output is
a JSON object with folder, fingerprint, tokenizer_fingerprint, lora_rank (0 for a full checkpoint), hub_id and
hub_revision.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from train.engine.errors import EngineError, ModelError
from train.engine.fingerprint import tokenizer_fingerprint, weights_fingerprint

HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.jinja",
    "tokenizer*",
    "*.model",
    "*.txt",
]


def download(hub_id: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a model from the hub; return its folder and the revision that it is pinned to.

    Raises:
        ModelError: the hub cannot be reached, or has no such model or revision.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        pinned = HfApi().model_info(hub_id, revision=revision).sha
        return Path(snapshot_download(hub_id, revision=pinned, allow_patterns=HUB_FILES)), str(pinned)
    except (HfHubHTTPError, ValueError) as exc:
        raise ModelError(f"The hub has no model {hub_id} that may be read: {exc}") from exc
    except OSError as exc:
        raise ModelError(
            f"There is no folder {hub_id}, and no hub can be reached to look for it there ({type(exc).__name__}). "
            "Give the folder of a checkpoint on this machine."
        ) from exc


def describe(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint or adapter is known by.

    Raises:
        ModelError: it has no safetensors weights, no fast tokenizer or no chat template.
    """
    fingerprint = weights_fingerprint(folder)
    adapter_file = folder / "adapter_config.json"
    adapter = json.loads(adapter_file.read_text(encoding="utf-8")) if adapter_file.exists() else None
    tokenizer_folder = adapter["base_model_name_or_path"] if adapter else folder
    return {
        "folder": str(folder.resolve()),
        "fingerprint": fingerprint,
        "tokenizer_fingerprint": tokenizer_fingerprint(load_tokenizer(tokenizer_folder)),
        "lora_rank": adapter["r"] if adapter else 0,
        "hub_id": "",
        "hub_revision": "",
    }


def load_tokenizer(folder: Path | str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as exc:
        raise ModelError(f"The folder {folder} holds no tokenizer that can be loaded: {exc}") from exc
    if not tokenizer.chat_template:
        raise ModelError(f"The tokenizer in {folder} has no chat template. Winnow needs a chat model.")
    return tokenizer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Say what a policy's folder holds.")
    parser.add_argument("source", help="a folder, or a hub id such as org/name")
    parser.add_argument("--revision", help="of a hub id; the newest by default")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        if Path(options.source).is_dir():
            facts = describe(Path(options.source))
        else:
            folder, revision = download(options.source, options.revision)
            facts = describe(folder) | {"hub_id": options.source, "hub_revision": revision}
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    options.output.write_text(json.dumps(facts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
