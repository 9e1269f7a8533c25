"""Weights and tokenizers are known by content, not by file."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tests.engine.tiny import make_tokenizer
from train.engine.errors import ModelError
from train.engine.fingerprint import tokenizer_fingerprint, weights_fingerprint

A, B = torch.arange(6.0).reshape(2, 3), torch.ones(4, dtype=torch.bfloat16)


def save(folder, name="model.safetensors", **tensors):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name)
    return folder


def test_it_does_not_depend_on_how_tensors_are_split(tmp_path):
    whole = save(tmp_path / "whole", a=A, b=B)
    split = save(tmp_path / "split", "model-1.safetensors", b=B)
    save(split, "model-2.safetensors", a=A)
    weight_map = {"a": "model-2.safetensors", "b": "model-1.safetensors"}
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert weights_fingerprint(whole) == weights_fingerprint(split)


def test_it_depends_on_names_dtypes_shapes_and_bytes(tmp_path):
    variants = [{"a": A, "b": B}, {"a": A, "c": B}, {"a": A.reshape(3, 2), "b": B}, {"a": A + 1, "b": B}]
    variants.append({"a": A, "b": B.view(torch.float16)})
    found = {weights_fingerprint(save(tmp_path / str(i), **variant)) for i, variant in enumerate(variants)}
    assert len(found) == len(variants)


def test_an_adapter_is_known_by_its_scale_too(tmp_path):
    found = set()
    for alpha in (8, 16):
        folder = save(tmp_path / str(alpha), "adapter_model.safetensors", a=A)
        (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": alpha}))
        found.add(weights_fingerprint(folder))
    assert len(found) == 2


def test_it_rejects_missing_and_damaged_weights(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model.safetensors or adapter_model.safetensors. Give a folder"):
        weights_fingerprint(tmp_path)
    path = save(tmp_path / "m", a=A) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match="ends too early"):
        weights_fingerprint(tmp_path / "m")
    path.write_bytes(b"123")
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        weights_fingerprint(tmp_path / "m")


def test_a_tokenizer_keeps_its_fingerprint_when_used_and_saved(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = make_tokenizer()
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "abc"], padding=True, truncation=True, max_length=2)
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(AutoTokenizer.from_pretrained(tmp_path)) == before


def test_a_tokenizers_fingerprint_depends_on_tokens_and_template():
    changed = make_tokenizer()
    changed.chat_template = "{{ messages }}"
    tokenizers = [make_tokenizer(), make_tokenizer(merges=(("a", "b"),)), changed]
    assert len({tokenizer_fingerprint(tokenizer) for tokenizer in tokenizers}) == 3
