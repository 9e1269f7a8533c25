"""The token budget in force, and doing work again with half of it where memory does not suffice."""

import gc
import resource
import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from train.engine.batches import fill_tokens
from train.engine.errors import EngineError

T = TypeVar("T")

# What PyTorch's allocator on a CPU says; it has no exception of its own.
CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: "


class TokenBudget:
    """How many tokens, padding included, may go through the model at once."""

    def __init__(self, tokens: int, device_type: str, report: Callable[[str], None]) -> None:
        """Start with the configured budget; `report` is told, in a sentence, when it is halved."""
        self.tokens = tokens
        self.device_type = device_type
        self.report = report

    @property
    def fill(self) -> int:
        """Tokens to put together where there is a choice: the budget, or less where that is as fast."""
        return fill_tokens(self.device_type, self.tokens)

    def retry(self, work: Callable[[], T], *, longest: int) -> T:
        """Return what `work` returns; where memory does not suffice, do all of it again with half the budget.

        Args:
            work: reads this budget, and may be done again from its beginning.
            longest: tokens of the longest row that `work` sends; a row is never cut, so less cannot help.

        Raises:
            EngineError: memory does not suffice for one row at a time.
        """
        while True:
            error = ""
            try:
                return work()
            except RuntimeError as exc:
                if not is_out_of_memory(exc):
                    raise
                # The exception holds the frames, and with them the tensors: it must be gone before the next try.
                error = str(exc).partition("\n")[0]
            release_memory()
            if self.tokens <= longest:
                raise EngineError(
                    f"The device ran out of memory with one answer of {longest} tokens at a time. Lower "
                    "`max_prompt_tokens` and `max_completion_tokens`, train with LoRA, or take a larger device. "
                    f"({error})"
                )
            self.tokens = max(1, min(self.tokens, self.fill) // 2)
            self.report(f"The device ran out of memory. From here on the token budget is {self.tokens}.")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether this is a device's, or the machine's, memory that did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or CPU_OUT_OF_MEMORY in str(error)


def release_memory() -> None:
    """Give the memory of what is no longer referred to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory_bytes() -> int:
    """Return the most memory used so far: of the GPU where there is one, otherwise of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
