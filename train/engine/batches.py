"""Which groups make a global batch, and how a batch is cut into micro-batches within the token budget."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from train.engine.tokens import Group, TokenSequence

# On a CPU more tokens at once are not faster, only larger in memory and slower to stop.
CPU_FILL_TOKENS = 1024


def fill_tokens(device_type: str, token_budget: int) -> int:
    """Return how many tokens to send through the model at once: the budget, or less where that is as fast."""
    return min(token_budget, CPU_FILL_TOKENS) if device_type == "cpu" else token_budget


@dataclass(frozen=True)
class MicroBatch:
    """Whole groups of a global batch whose loss is computed at once, and the rows to send together."""

    groups: list[int]  # indexes into the global batch
    parts: list[list[int]]  # indexes into the groups' rows, one after another; more than one part is a split group


def steps_per_epoch(groups: int, groups_per_step: int) -> int:
    """Return the optimizer steps of an epoch; the last one may be smaller and is not dropped."""
    return -(-groups // groups_per_step)


def global_batch(step: int, groups: int, groups_per_step: int, seed: int) -> list[int]:
    """Return the indexes of the groups of optimizer step `step`, counted from 0.

    The order of each epoch follows from the seed and the epoch alone, so a batch can be told without
    running those before it.
    """
    epoch, place = divmod(step, steps_per_epoch(groups, groups_per_step))
    order = list(range(groups))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 (no secret)
    return order[place * groups_per_step : (place + 1) * groups_per_step]


def micro_batches(groups: list[Group], token_budget: int, fill: int) -> Iterator[MicroBatch]:
    """Cut a global batch into micro-batches of at most `token_budget` tokens, padding included.

    Groups of similar length stand together. A group is split only where it exceeds the budget by itself,
    and a single row only goes alone, never cut.

    Args:
        groups: the global batch.
        token_budget: tokens that a micro-batch may have.
        fill: tokens up to which several groups are put together, at most `token_budget`.
    """
    longest = [max(sequence.length for sequence in group.sequences) for group in groups]
    waiting: list[int] = []
    rows = 0
    for index in sorted(range(len(groups)), key=lambda index: -longest[index]):
        size = len(groups[index].sequences)
        if waiting and (rows + size) * longest[waiting[0]] > fill:
            yield MicroBatch(waiting, [list(range(rows))])
            waiting, rows = [], 0
        if size * longest[index] > token_budget:
            yield MicroBatch([index], list(by_length(groups[index].sequences, token_budget)))
            continue
        waiting.append(index)
        rows += size
    if waiting:
        yield MicroBatch(waiting, [list(range(rows))])


def by_length(sequences: list[TokenSequence], token_budget: int) -> Iterator[list[int]]:
    """Yield indexes of rows, longest first, that together fill at most the budget, padding included."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda index: -sequences[index].length):
        if batch and (len(batch) + 1) * sequences[batch[0]].length > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
