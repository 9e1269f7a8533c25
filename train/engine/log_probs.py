"""Log-probabilities of completions, from hidden states and in chunks.

No tensor of (tokens x vocabulary) is held for a batch: only positions that predict a completion token go
through the LM head, a chunk at a time, and backward computes each chunk's logits again.

Letters: B rows, T longest row in tokens, N completion tokens of all rows, H hidden size, V vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from train.engine.batches import by_length
from train.engine.memory import TokenBudget
from train.engine.stop import StopRequest
from train.engine.tokens import TokenSequence

# Logits of one chunk, chunk_tokens x V, are at most this many float32 numbers (64 MiB).
CHUNK_LOGITS = 1 << 24


def collate(sequences: list[TokenSequence], device: torch.device) -> dict[str, torch.Tensor]:
    """Pad rows on the right and say which hidden states predict which completion tokens.

    The hidden state of a position predicts the token after it, so a row's first completion token is
    predicted by its last prompt token, and its last token predicts nothing.

    Returns:
        input_ids: (B, T), padded with 0. Masks come from lengths, so any token may be the padding.
        attention_mask: (B, T), 1 on real tokens.
        positions: (N,), indexes into the flattened (B * T) positions.
        targets: (N,), the completion tokens, row after row.
    """
    longest = max(sequence.length for sequence in sequences)
    input_ids = torch.zeros(len(sequences), longest, dtype=torch.long)  # (B, T)
    attention_mask = torch.zeros_like(input_ids)  # (B, T)
    positions, targets = [], []
    for row, sequence in enumerate(sequences):
        input_ids[row, : sequence.length] = torch.tensor(sequence.prompt + sequence.completion)
        attention_mask[row, : sequence.length] = 1
        first = row * longest + len(sequence.prompt) - 1
        positions.append(torch.arange(first, first + len(sequence.completion)))
        targets.append(torch.tensor(sequence.completion))
    batch = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "positions": torch.cat(positions),
        "targets": torch.cat(targets),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def causal_lm(model: Any) -> Any:
    """Return the transformers model, inside its PEFT wrapper where it has one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Return the model's logits in float32, (N, V), from hidden states (N, H).

    Some architectures scale or cap their logits after the LM head; `models.check_logits` compares this
    function with the model's own logits before training.
    """
    config = model.config
    # Granite divides its logits and Cohere multiplies them; Gemma 2 and 3 cap them.
    scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
    cap = getattr(config, "final_logit_softcapping", None)
    logits: torch.Tensor = model.get_output_embeddings()(hidden).float()
    if scale != 1:
        logits = logits * scale
    return logits if cap is None else cap * torch.tanh(logits / cap)


def token_log_probs(model: Any, hidden: torch.Tensor, targets: torch.Tensor, chunk_tokens: int) -> torch.Tensor:
    """Return log pi(target) of each position in nats, (N,), float32.

    Args:
        model: a transformers causal language model (not its PEFT wrapper).
        hidden: last hidden states, (N, H).
        targets: token ids, (N,).
        chunk_tokens: positions that go through the LM head at once.
    """

    def chunk_log_probs(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = head_logits(model, hidden)  # (chunk, V)
        return -F.cross_entropy(logits, targets, reduction="none")  # (chunk,)

    chunks = zip(torch.split(hidden, chunk_tokens), torch.split(targets, chunk_tokens), strict=True)
    return torch.cat(
        [checkpoint(chunk_log_probs, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    )


def sequence_log_probs(
    model: Any, sequences: list[TokenSequence], *, dtype: torch.dtype, chunk_tokens: int | None = None
) -> torch.Tensor:
    """Return log pi(y | x) of each row in nats, summed over the completion's tokens, (B,), float32.

    The rows go through the model together, padded to the longest.

    Args:
        model: a transformers causal language model, or one in a PEFT wrapper.
        sequences: B rows.
        dtype: of autocast; float32 switches it off.
        chunk_tokens: positions that go through the LM head at once; None chooses by vocabulary size.
    """
    model = causal_lm(model)
    batch = collate(sequences, model.device)
    chunk_tokens = chunk_tokens or max(1, CHUNK_LOGITS // model.config.vocab_size)
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        hidden = model.base_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        ).last_hidden_state  # (B, T, H)
        hidden = hidden.flatten(0, 1)[batch["positions"]]  # (N, H)
        log_probs = token_log_probs(model, hidden, batch["targets"], chunk_tokens)  # (N,)
    rows = torch.split(log_probs, [len(sequence.completion) for sequence in sequences])
    return torch.stack([row.sum() for row in rows])  # (B,)


def score_batches(
    model: Any, sequences: list[TokenSequence], *, budget: TokenBudget, dtype: torch.dtype
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yield (indexes, their log pi(y | x)) batch after batch, without gradient.

    Rows of similar length go together, within the token budget; a row longer than the budget goes alone.
    """
    for rows in by_length(sequences, budget.fill):
        with torch.no_grad():
            log_probs = sequence_log_probs(model, [sequences[row] for row in rows], dtype=dtype)
        yield rows, log_probs


def score(
    model: Any, sequences: list[TokenSequence], *, budget: TokenBudget, dtype: torch.dtype, stop: StopRequest
) -> torch.Tensor:
    """Return log pi(y | x) of each row without gradient, (R,), float32, on the model's device.

    Raises:
        Stopped: the run was asked to stop.
    """
    result = torch.empty(len(sequences), device=causal_lm(model).device)  # (R,)
    for rows, log_probs in score_batches(model, sequences, budget=budget, dtype=dtype):
        stop.check()
        result[rows] = log_probs
    return result
