"""What a policy's weights and a tokenizer are known by. Imports no torch."""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from train.engine.errors import ModelError

BLOCK_BYTES = 1 << 22


def weights_fingerprint(folder: str | Path) -> str:
    """Return the SHA-256 (hex) of a folder's weights: names, dtypes, shapes and bytes, in order of name.

    How the tensors are split into files, and in which order, does not matter. For an adapter the numbers
    that scale it (rank, alpha, rank-stabilised or not) count too: the same matrices under another alpha are
    another policy. Memory use does not grow with the weights.

    Raises:
        ModelError: the folder holds no safetensors weights, or a file is damaged.
    """
    folder = Path(folder)
    tensors = sorted(entry for path in weight_files(folder) for entry in read_header(path))
    digest = hashlib.sha256()
    if (folder / "adapter_config.json").exists():
        adapter = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        scale = [adapter.get("r"), adapter.get("lora_alpha"), bool(adapter.get("use_rslora"))]
        digest.update(json.dumps(["lora", *scale]).encode())
    for name, dtype, shape, path, start, size in tensors:
        digest.update(json.dumps([name, dtype, shape]).encode())
        with open(path, "rb") as file:
            file.seek(start)
            for block in blocks(file, size, path):
                digest.update(block)
    return digest.hexdigest()


def settings_digest(folder: str | Path) -> str:
    """Return the SHA-256 (hex) of what a model's config.json says of how it computes; an adapter has none."""
    path = Path(folder) / "config.json"
    if not path.exists():
        return "none"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("_name_or_path", "transformers_version"):
        values.pop(name, None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that hold a folder's weights, by its index where it has one."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = [folder / name for name in sorted(names)]
    else:
        names = {"model.safetensors", "adapter_model.safetensors"}
        files = [folder / name for name in sorted(names) if (folder / name).exists()]
    missing = [path for path in files if not path.exists()]
    if missing or not files:
        what = f"lacks {missing[0].name}" if missing else "holds no model.safetensors or adapter_model.safetensors"
        raise ModelError(f"The folder {folder} {what}. Give a folder with safetensors weights.")
    return files


def read_header(path: Path) -> Iterator[tuple[str, str, list[int], str, int, int]]:
    """Yield (name, dtype, shape, file, offset in the file, bytes) of each tensor of a safetensors file."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            yield name, entry["dtype"], entry["shape"], str(path), 8 + length + start, end - start
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as exc:
        raise ModelError(f"The file {path} is not a whole safetensors file. Fetch or copy it again.") from exc


def blocks(file: BinaryIO, size: int, path: str) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file in blocks."""
    while size:
        block = file.read(min(size, BLOCK_BYTES))
        if not block:
            raise ModelError(f"The file {path} ends too early. Fetch or copy it again.")
        size -= len(block)
        yield block


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return the SHA-256 (hex) of a transformers fast tokenizer and its chat template.

    Two tokenizers with the same fingerprint give the same ids for the same text and messages. Truncation
    and padding, which a caller may have switched on, do not count.

    Raises:
        ModelError: the tokenizer has no `tokenizers` backend (it is not a fast one).
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"The tokenizer {type(tokenizer).__name__} has no tokenizer.json. Convert it to a fast tokenizer."
        )
    state = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    content = json.dumps([state, tokenizer.chat_template], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
