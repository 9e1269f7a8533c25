"""Blind A/Bs in words and pictures: the finding as a sentence, wins as a bar, intervals on a scale. No numpy here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotate.estimates import Estimate
from jobs.charts import shares
from train.models import Contest

if TYPE_CHECKING:
    from train.contest_results import Outcome
    from train.winrates import Ranking

EVEN = 0.5
MARGIN = 6  # per cent of a scale's width on either side, for the labels of its ends
ROW = 44  # pixels from one interval to the next
FEW_TICKS = 0.4  # up to so long a scale has a label every 10%, a longer one every 25%


@dataclass(frozen=True)
class Part:
    """A stretch of the bar, in per cent of its width."""

    kind: str
    x: str
    width: str


@dataclass(frozen=True)
class Row:
    label: str
    kind: str  # class names of winnow.css
    x: str
    low: str  # empty where there is no interval
    high: str
    y: int


@dataclass(frozen=True)
class Tick:
    x: str
    label: str
    even: bool


@dataclass(frozen=True)
class Intervals:
    """Shares of wins with their intervals on one scale. Heights are pixels."""

    sentence: str
    ticks: list[Tick]
    rows: list[Row]
    height: int


@dataclass(frozen=True)
class Finding:
    """The result of a contest as its page shows it."""

    title: str  # “Round 3 is better.”
    sentence: str
    length: str
    bar: list[Part]
    counts: str  # the bar in words
    scale: Intervals | None


def finding_of(contest: Contest, outcome: "Outcome") -> Finding:
    """Say what came of a contest."""
    title, sentence = _result(str(contest.first), str(contest.second), outcome.rate)
    ties = outcome.ties + outcome.same
    return Finding(
        title=title,
        sentence=sentence,
        length=_of_length(outcome) if not outcome.rate.missing else "",
        bar=_bar([("win", outcome.wins), ("tie", ties), ("loss", outcome.losses)]),
        counts=f"{outcome.wins:,} wins, {ties:,} ties, {outcome.losses:,} losses of {contest.first}",
        scale=_scale_of(outcome),
    )


def one_decimal(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def rate_in_words(rate: Estimate) -> str:
    """Return “58.4% (51.3 to 65.2)”, or nothing where there is none."""
    if rate.value is None:
        return ""
    return f"{one_decimal(rate.value)}% ({one_decimal(rate.low)} to {one_decimal(rate.high)})"


def shows_a_difference(rate: Estimate) -> bool:
    """Whether the interval leaves out even."""
    return rate.low is not None and rate.high is not None and not rate.low <= EVEN <= rate.high


def turned(rate: Estimate) -> Estimate:
    """Return the rate as the other policy has it."""
    value, high, low = (None if end is None else 1 - end for end in (rate.value, rate.low, rate.high))
    return Estimate(value, low, high, rate.missing)


def _result(first: str, second: str, rate: Estimate) -> tuple[str, str]:
    if rate.missing:
        return "No result.", rate.missing
    if not shows_a_difference(rate):
        return "No difference is shown.", f"{first} wins {_with_interval(rate)}: even is within it."
    assert rate.value is not None
    better, found = (first, rate) if rate.value > EVEN else (second, turned(rate))
    return f"{better} is better.", f"It wins {_with_interval(found)}."


def _with_interval(rate: Estimate) -> str:
    low, high = one_decimal(rate.low), one_decimal(rate.high)
    return f"{one_decimal(rate.value)}% (95% interval {low} to {high}, ties count half)"


def _of_length(outcome: "Outcome") -> str:
    """Say what is left where length is held equal. The rate is that of the policy that the finding is about."""
    rate, equal = outcome.rate, outcome.rate_at_equal_length
    if equal.missing:
        return f"What length does cannot be told. {equal.missing}"
    if rate.value is not None and rate.value < EVEN and shows_a_difference(rate):
        rate, equal = turned(rate), turned(equal)
    told = f"With length held equal it wins {rate_in_words(equal)}"
    if shows_a_difference(rate) and not shows_a_difference(equal):
        return f"Some of that may be length. {told}, and even is within it."
    return f"{told}."


def _bar(counts: Sequence[tuple[str, int]]) -> list[Part]:
    total = sum(count for _, count in counts) or 1
    parts, at = [], 0
    for kind, count in counts:
        parts.append(Part(kind, f"{100 * at / total:.4g}%", f"{100 * count / total:.4g}%"))
        at += count
    return [part for part in parts if part.width != "0%"]


def _scale_of(outcome: "Outcome") -> Intervals | None:
    if outcome.rate.missing:
        return None
    rows = [("as judged", outcome.rate)]
    if not outcome.rate_at_equal_length.missing:
        rows.append(("same length", outcome.rate_at_equal_length))
    said = "; ".join(f"{label} {rate_in_words(rate)}" for label, rate in rows)
    return intervals(f"Win rate with its 95% interval: {said}. 50% is even.", rows)


def ranking_chart(ranking: "Ranking", names: Mapping[int, str], rates: Sequence[Estimate]) -> Intervals:
    """Draw how often each policy would win against the first, the best on top."""
    rows = [(names[policy], rate) for policy, rate in zip(ranking.policies, rates, strict=True)]
    rows.sort(key=lambda row: -(row[1].value or 0))
    said = "; ".join(f"{name} {rate_in_words(rate) if rate.has_interval else '50%'}" for name, rate in rows)
    return intervals(f"Expected win rate against {names[ranking.policies[0]]}: {said}.", rows)


def intervals(sentence: str, rows: Sequence[tuple[str, Estimate]]) -> Intervals:
    """Lay shares out on the shortest scale of round numbers that has all of them and even."""
    ends = [end for _, rate in rows for end in (rate.value, rate.low, rate.high) if end is not None]
    low, high, step = _round_ends(min([EVEN, *ends]), max([EVEN, *ends]))

    def at(share: float | None) -> str:
        if share is None:
            return ""
        return f"{MARGIN + (100 - 2 * MARGIN) * (share - low) / (high - low):.4g}%"

    count = round((high - low) / step)
    values = [low + number * step for number in range(count + 1)]
    ticks = [Tick(at(value), shares(value), math.isclose(value, EVEN)) for value in values]
    drawn = [
        Row(label, "p hollow" if number and len(rows) == 2 else "p", at(rate.value), at(rate.low), at(rate.high), y)
        for number, (label, rate) in enumerate(rows)
        for y in [ROW * number + 32]
    ]
    return Intervals(sentence, ticks, drawn, ROW * len(rows) + 32)


def _round_ends(low: float, high: float) -> tuple[float, float, float]:
    """Return the ends of a scale and the step of its labels, all multiples of 10% or of 25%."""
    for step in (0.1, 0.25):
        start, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        if start == end:
            start, end = start - step, end + step
        if end - start <= FEW_TICKS + 1e-9:
            break
    return start, end, step
