"""The geometry of charts: numbers in, positions in per cent and labels out. No Django here."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Point = tuple[float, float]  # (step, value)

MOST_POINTS = 200  # of a line: more than a screen can show
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)  # steps of a scale, times a power of ten
PLOT_WIDTH = 76  # per cent of the chart: the labels of the lines stand beside them, on the right
TOO_LONG = 1e7  # numbers from here on are written with an exponent
APART = 12.0  # per cent of the height that two labels need between them


@dataclass(frozen=True)
class Line:
    kind: str  # class names of winnow.css
    path: str


@dataclass(frozen=True)
class Mark:
    """A point and its direct label, which may be empty."""

    kind: str
    x: str
    y: str
    label: str = ""
    dy: int = 4


@dataclass(frozen=True)
class Bar:
    """The interval around a point."""

    x: str
    low: str
    high: str


@dataclass(frozen=True)
class StepLabel:
    x: str
    anchor: str
    text: str


@dataclass(frozen=True)
class Chart:
    title: str  # the finding
    quantity: str
    sentence: str  # the chart in words, for those who do not see it
    ticks: tuple[str, str, str]  # from the top down
    lines: list[Line]
    marks: list[Mark]
    steps: list[StepLabel]
    bars: Sequence[Bar] = ()
    width: int = PLOT_WIDTH


@dataclass(frozen=True)
class Scale:
    low: float
    high: float

    def per_cent(self, value: float) -> float:
        """Return where a value lies, 0 at the low end."""
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self, *, share: bool = False) -> tuple[str, str, str]:
        """Return the labels of the high end, the middle and the low end."""
        middle = (self.low + self.high) / 2
        step = (self.high - self.low) / 2
        if share:
            return shares(self.high), shares(middle), shares(self.low)
        decimals = next((d for d in range(7) if math.isclose(round(step, d), step, rel_tol=1e-6)), 6)
        return decimal(self.high, decimals), decimal(middle, decimals), decimal(self.low, decimals)


def downsample(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return at most so many of the points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (most - 1))] for i in range(most)]


def nice_scale(values: Iterable[float]) -> Scale:
    """Return the shortest scale around the values whose ends and middle are round numbers."""
    values = list(values)
    low, high = min(values), max(values)
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-6)
    magnitude = 10.0 ** math.floor(math.log10(span / 2))
    for factor in NICE:
        step = factor * magnitude
        start = math.floor(low / step + 1e-9) * step
        if start + 2 * step >= high - 1e-9 * step:
            return Scale(start, start + 2 * step)
    step = 20 * magnitude
    start = math.floor(low / step) * step
    return Scale(start, start + 2 * step)


def path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """Return the points as an SVG path in a box of 100 by 100, y downwards."""
    places = " ".join(f"{x.per_cent(step):.4g} {100 - y.per_cent(value):.4g}" for step, value in downsample(points))
    return f"M{places}" if places else ""


def decimal(value: float, decimals: int) -> str:
    if abs(value) >= TOO_LONG:
        return f"{value:.1e}".replace("-", "−", 1) if value < 0 else f"{value:.1e}"
    text = f"{abs(value):,.{decimals}f}"
    return f"−{text}" if value < 0 and float(text.replace(",", "")) else text


def shares(value: float) -> str:
    return f"{100 * value:.0f}%"


def mark(kind: str, point: Point, x: Scale, y: Scale, label: str = "") -> Mark:
    across, down = PLOT_WIDTH / 100 * x.per_cent(point[0]), 100 - y.per_cent(point[1])
    return Mark(kind, f"{across:.4g}%", f"{down:.4g}%", label)


def bar(step: float, low: float, high: float, x: Scale, y: Scale) -> Bar:
    across = f"{PLOT_WIDTH / 100 * x.per_cent(step):.4g}%"
    return Bar(across, f"{100 - y.per_cent(low):.4g}%", f"{100 - y.per_cent(high):.4g}%")


def keep_apart(first: Mark, second: Mark) -> list[Mark]:
    """Move two labels away from each other if their points are close."""
    upper, lower = sorted((first, second), key=lambda m: float(m.y[:-1]))
    if float(lower.y[:-1]) - float(upper.y[:-1]) >= APART:
        return [first, second]
    return [replace(upper, dy=-4), replace(lower, dy=14)]
