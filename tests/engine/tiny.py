"""A tiny random model with a byte tokenizer and ChatML, and data for it: `python -m tests.engine.tiny FOLDER`.

Nothing is downloaded. Token ids: 0 <|pad|>, 1 <|im_start|>, 2 <|im_end|>, then one id per byte, 3 + byte.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]


def byte_ids(text: str) -> list[int]:
    """Return the ids of a text without special tokens."""
    return [3 + byte for byte in text.encode()]


def byte_characters() -> list[str]:
    """Return the character that byte-level pre-tokenisation writes for each byte, 0 to 255."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256)]


def make_tokenizer(merges: tuple[tuple[str, str], ...] = ()) -> PreTrainedTokenizerFast:
    """Return the byte tokenizer, with further merges where a test needs tokens of several bytes."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL + byte_characters())}
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.chat_template = CHATML
    return tokenizer


def make_model(seed: int = 0) -> LlamaForCausalLM:
    """Return a Llama of two layers with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=272,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def save_model(folder: Path, seed: int = 0) -> Path:
    """Write the model and its tokenizer as a checkpoint folder."""
    make_model(seed).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def make_groups(count: int, answers: int = 4) -> list[dict[str, Any]]:
    """Return groups in which the shortest answer is the best of K."""
    groups = []
    for number in range(count):
        texts = ["ok " * (1 + (number + place) % answers) + chr(97 + place) for place in range(answers)]
        best = min(range(answers), key=lambda place: len(texts[place]))
        others = [place for place in range(answers) if place != best]
        groups.append(
            {
                "prompt": [{"role": "user", "content": f"say {number}"}],
                "completions": texts,
                "rankings": [{"tiers": [[best], others], "unordered": [1]}],
            }
        )
    return groups


def write_jsonl(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write a JSONL file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def make_loss(**changes: Any) -> dict[str, Any]:
    """Return the configuration of DPO's loss with changes."""
    return {"name": "sigmoid", "beta": 0.1, "votes": "share", "reduction": "pair", "ties": "ignore"} | changes


def make_config(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration for the model and data in `folder`."""
    return {
        "model": str(folder / "model"),
        "data": str(folder / "train.jsonl"),
        "held_out": str(folder / "held_out.jsonl"),
        "output": str(folder / "run"),
        "loss": make_loss(),
        "method": "lora",
        "lora": {"rank": 4, "alpha": 8, "target_modules": "all-linear"},
        "learning_rate": 1e-2,
        "schedule": "linear",
        "warmup_share": 0.0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "epochs": 2,
        "groups_per_step": 4,
        "token_budget": 1024,
        "max_prompt_tokens": 512,
        "max_completion_tokens": 512,
        "seed": 7,
        "dtype": "float32",
        "threads": 1,
    } | changes


def make_folder(folder: Path) -> Path:
    """Write model, data and config.json; the run folder will be `folder`/run."""
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model")
    write_jsonl(folder / "train.jsonl", make_groups(12))
    write_jsonl(folder / "held_out.jsonl", make_groups(16)[12:])
    (folder / "config.json").write_text(json.dumps(make_config(folder), indent=2), encoding="utf-8")
    return folder


if __name__ == "__main__":
    make_folder(Path(sys.argv[1]))
