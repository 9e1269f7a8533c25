"""Load and save policies: full checkpoints, and plain LoRA adapters that vLLM can serve."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from train.engine.config import LoraConfig, PolicyConfig, TrainingConfig
from train.engine.errors import ModelError
from train.engine.log_probs import causal_lm, head_logits
from train.engine.output import write_folder

# What a plain LoRA adapter does not use, because vLLM could not serve it.
NOT_PLAIN_LORA = (
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
)


def autocast_dtype(config: TrainingConfig) -> torch.dtype:
    """Return the dtype of autocast; float32 means that there is none."""
    return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32


def weights_dtype(config: TrainingConfig) -> torch.dtype:
    """Return the dtype in which checkpoints are loaded: only frozen weights may be less than float32.

    The reference is loaded in the same dtype, so that equal weights give equal log-probabilities.
    """
    return autocast_dtype(config) if config.method == "lora" else torch.float32


def load_tokenizer(folder: str) -> Any:
    """Return a checkpoint's tokenizer, or raise ModelError."""
    checked_folder(folder, "config.json")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # transformers raises what it likes for files that make no sense
        raise ModelError(f"The tokenizer in {folder} cannot be loaded: {exc}") from exc


def end_ids(folder: str, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a turn: the tokenizer's, then those that generation stops at."""
    ids = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if (Path(folder) / "generation_config.json").exists():
        try:
            stops = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
        except Exception as exc:
            raise ModelError(f"The file generation_config.json in {folder} cannot be read: {exc}") from exc
        ids += [stops] if isinstance(stops, int) else stops or []
    if not ids:
        raise ModelError(
            f"The tokenizer in {folder} has no end-of-sequence token, so answers could not end. "
            "Set `eos_token` in its tokenizer_config.json."
        )
    return tuple(dict.fromkeys(ids))


def vocabulary_size(folder: str) -> int:
    """Return the number of token ids that a checkpoint's model knows."""
    return int(text_config(folder).vocab_size)


def most_positions(folder: str) -> int | None:
    """Return the longest sequence that a checkpoint's model reads, where its configuration says so."""
    return getattr(text_config(folder), "max_position_embeddings", None)


def text_config(folder: str) -> Any:
    """Return the configuration of a checkpoint's language model, or raise ModelError."""
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    except Exception as exc:
        raise ModelError(f"The file config.json in {folder} cannot be read: {exc}") from exc


def load_checkpoint(folder: str, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a full checkpoint's model with every weight frozen and dropout off.

    Raises:
        ModelError: the folder holds no whole, unquantised causal language model in safetensors.
    """
    checked_folder(folder, "config.json")
    try:
        found: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        model, loaded = found
    except torch.OutOfMemoryError:
        raise
    except Exception as exc:
        raise ModelError(f"The model in {folder} cannot be loaded: {exc}") from exc
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError(f"The model in {folder} is quantised. Give an unquantised checkpoint.")
    if loaded["missing_keys"]:
        names = ", ".join(sorted(loaded["missing_keys"])[:3])
        raise ModelError(f"The checkpoint in {folder} lacks weights of its model ({names}). Fetch it again.")
    model.requires_grad_(False)
    return model.to(device).eval()


def load_reference(policy: PolicyConfig, config: TrainingConfig, device: torch.device) -> Any:
    """Return a frozen policy."""
    model = load_checkpoint(policy.model, weights_dtype(config), device)
    if policy.adapter is not None:
        checked_adapter(policy.adapter)
        model = peft.PeftModel.from_pretrained(model, policy.adapter, is_trainable=False).eval()
    check_logits(model)
    return model


def load_trainable(config: TrainingConfig, device: torch.device) -> Any:
    """Return the starting policy with what is to be trained in float32 and with gradients.

    A fresh adapter changes nothing yet, so the model is the starting policy to the bit. Dropout stays off
    in training too: log-ratios to a reference are only meaningful without it.

    Raises:
        ModelError: the policy cannot be loaded, its adapter does not match `lora`, or nothing is trainable.
    """
    model = load_checkpoint(config.model, weights_dtype(config), device)
    if config.lora is None:
        model.requires_grad_(True)
    elif config.adapter is None:
        check_targets(model, config.lora.target_modules)
        model = peft.get_peft_model(model, new_adapter(config.lora))
    else:
        settings = checked_adapter(config.adapter)
        check_same_adapter(settings, config.lora, config.adapter)
        check_targets(model, settings["target_modules"])
        model = peft.PeftModel.from_pretrained(model, config.adapter, is_trainable=True)
        check_all_linear(model, config.lora, config.adapter)
    model.eval()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError("No weight would be trained: the model has no trainable parameter. Check `lora`.")
    check_logits(model)
    return model


def new_adapter(lora: LoraConfig) -> peft.LoraConfig:
    """Return PEFT's configuration of a plain LoRA adapter."""
    names = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=names,
        lora_dropout=0.0,
        bias="none",
    )


def checked_adapter(folder: str) -> dict[str, Any]:
    """Return an adapter's settings, or raise ModelError unless it is plain LoRA."""
    path = checked_folder(folder, "adapter_config.json") / "adapter_config.json"
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    extras = [name for name in NOT_PLAIN_LORA if settings.get(name)]
    if settings.get("peft_type") != "LORA" or settings.get("bias", "none") != "none" or extras:
        what = ", ".join(extras) or f"peft_type {settings.get('peft_type')}, bias {settings.get('bias')}"
        raise ModelError(f"The adapter in {folder} is not plain LoRA ({what}), so vLLM could not serve it.")
    if not isinstance(settings.get("target_modules"), list):
        raise ModelError(
            f"The adapter in {folder} gives its `target_modules` as {settings.get('target_modules')!r}. "
            "Write the list of the modules' names into its adapter_config.json."
        )
    return settings


def check_same_adapter(settings: dict[str, Any], lora: LoraConfig, folder: str) -> None:
    """Raise ModelError unless the adapter has the rank, alpha and modules that are asked for."""
    for name, asked, there in (
        ("rank", lora.rank, settings["r"]),
        ("alpha", lora.alpha, settings["lora_alpha"]),
    ):
        if asked != there:
            raise ModelError(
                f"`lora.{name}` is {asked}, but the adapter in {folder} that is to be trained further has {there}. "
                f"Give {there}, or merge the adapter into its model first."
            )
    modules = settings["target_modules"]
    if lora.target_modules != "all-linear" and set(lora.target_modules) != set(modules):
        raise ModelError(
            f"`lora.target_modules` is {sorted(lora.target_modules)}, but the adapter in {folder} has "
            f"{sorted(modules)}. Give the adapter's own, or merge it into its model first."
        )


def check_targets(model: Any, names: str | Collection[str]) -> None:
    """Raise ModelError unless every named module is there, and is a linear layer other than the LM head."""
    head = model.get_output_embeddings()
    modules = {name: module for name, module in model.named_modules() if name}
    linear = {name for name, module in modules.items() if isinstance(module, torch.nn.Linear) and module is not head}
    for target in [] if names == "all-linear" else sorted(names):
        found = {name for name in modules if name == target or name.endswith(f".{target}")}
        if not found:
            known = sorted({name.rpartition(".")[2] for name in linear})
            raise ModelError(
                f"`lora.target_modules` names {target}, which the model does not have. "
                f"Its linear layers are: {', '.join(known)}."
            )
        if not found <= linear:
            raise ModelError(
                f"`lora.target_modules` names {target}, which is no linear layer inside the model, "
                "so vLLM could not serve its adapter. Leave it out."
            )


def check_all_linear(model: Any, lora: LoraConfig, folder: str) -> None:
    """Raise ModelError if "all-linear" is asked for and the adapter leaves a linear layer out."""
    if lora.target_modules != "all-linear":
        return
    head = causal_lm(model).get_output_embeddings()
    for name, module in causal_lm(model).named_modules():
        inside_adapter = ".base_layer" in name or ".lora_" in name
        if isinstance(module, torch.nn.Linear) and module is not head and not inside_adapter:
            raise ModelError(
                f'`lora.target_modules` is "all-linear", but the adapter in {folder} leaves out {name}. '
                "Give the adapter's own list of modules."
            )


@torch.no_grad()
def check_logits(model: Any) -> None:
    """Raise ModelError unless `head_logits` gives the model's own logits on a few tokens."""
    model = causal_lm(model)
    input_ids = torch.arange(8, device=model.device)[None] % model.config.vocab_size  # (1, 8)
    own = model(input_ids=input_ids, use_cache=False).logits[0].float()  # (8, V)
    hidden = model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state[0]  # (8, H)
    if not bool(torch.isfinite(own).all()):
        raise ModelError("The model's logits are not finite: its weights are damaged. Fetch or train it again.")
    difference = float((own - head_logits(model, hidden)).abs().max())
    if not difference <= 1e-3 * max(1.0, float(own.abs().max())):
        raise ModelError(
            f"The architecture {type(model).__name__} changes its logits in a way that this trainer does not "
            f"know (difference {difference:.2g}). Train another architecture."
        )


def save_policy(model: Any, tokenizer: Any, config: TrainingConfig, folder: Path) -> None:
    """Write the trained policy, whole or not at all: the adapter, or the checkpoint with its tokenizer."""

    def fill(temporary: Path) -> None:
        if config.method == "lora":
            model.peft_config["default"].base_model_name_or_path = config.model
            model.save_pretrained(temporary, save_embedding_layers=False)
        else:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)

    write_folder(folder, fill)


def checked_folder(folder: str, file: str) -> Path:
    """Return the folder as a path, or raise ModelError unless it holds the file."""
    path = Path(folder)
    if not (path / file).is_file():
        what = f"has no {file}" if path.is_dir() else "does not exist"
        raise ModelError(f"The folder {folder} {what}. Give the folder of a model or adapter.")
    return path
