"""A figure with its interval, or the sentence that says what is missing for it."""

from dataclasses import dataclass

CONFIDENCE = 0.95  # of every interval
RESAMPLES = 1000  # of the bootstrap
SEED = 2011
FEWEST_PROMPTS = 10  # prompts are what chance is drawn by: from fewer, neither a figure nor its interval says anything


@dataclass(frozen=True)
class Estimate:
    """`missing` says why there is no value, or no interval, and what would change that."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str = ""

    @property
    def has_interval(self) -> bool:
        return self.low is not None


def too_few(prompts: int, fewest: int = FEWEST_PROMPTS) -> str:
    """Return what is missing where a figure needs more prompts, or nothing where there are enough."""
    if prompts >= fewest:
        return ""
    there_are = "There is 1" if prompts == 1 else f"There are {prompts or 'none'}"
    return f"This needs {fewest} prompts. {there_are} so far: {fewest - prompts} more."
