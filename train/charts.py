"""The charts of a round: its metrics in, what they show and sentences out. No Django here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.charts import (
    PLOT_WIDTH,
    Chart,
    Line,
    Point,
    Scale,
    StepLabel,
    bar,
    decimal,
    downsample,
    keep_apart,
    mark,
    nice_scale,
    path,
    shares,
)

SMOOTHING = 0.9  # weight of the past in the smoothed line
GB = 2**30  # as Django's filesizeformat has it
UNCHANGED = 0.01  # rewards and losses nearer than this are called the same


def series(rows: Iterable[dict[str, Any]], key: str) -> list[Point]:
    """Return (step, value) of each row that has a number for the key."""
    return [(row["step"], row[key]) for row in rows if row.get(key) is not None]


def smooth(points: Sequence[Point], weight: float = SMOOTHING) -> list[Point]:
    """Return the exponential mean of the values so far, corrected for its start: the first value stays as it is."""
    smoothed, mean = [], 0.0
    for count, (step, value) in enumerate(points, start=1):
        mean = weight * mean + (1 - weight) * value
        smoothed.append((step, mean / (1 - weight**count)))
    return smoothed


def step_labels(now: float, total: float) -> list[StepLabel]:
    """Return what stands under a chart: step 0, the last step, and the present one where it has room."""
    labels = [StepLabel("0%", "start", "step 0"), StepLabel(f"{PLOT_WIDTH}%", "middle", f"{total:,.0f}")]
    share = now / total
    if 0.25 < share < 0.85:
        labels.insert(1, StepLabel(f"{PLOT_WIDTH * share:.4g}%", "middle", f"{now:,.0f}"))
    return labels


@dataclass(frozen=True)
class Metrics:
    """The metrics of a round, and those of earlier rounds to be drawn behind them in grey."""

    steps: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    earlier: list[list[dict[str, Any]]]
    x: Scale

    def before(self, key: str, factor: float = 1.0) -> list[list[Point]]:
        """Return the smoothed series of each earlier round, as far as this one goes."""
        found = (smooth(series(rows, key)) for rows in self.earlier)
        return [[(step, factor * value) for step, value in points if step <= self.x.high] for points in found]


def metrics_of(rows: Sequence[dict[str, Any]], earlier: Iterable[Sequence[dict[str, Any]]] = ()) -> Metrics | None:
    """Return the metrics of a round, or None before its first step."""
    steps = [row for row in rows if "loss" in row]
    if not series(steps, "loss"):
        return None
    evaluations = [row for row in rows if "eval_loss" in row]
    return Metrics(steps, evaluations, [list(rows) for rows in earlier], Scale(0, max(row["steps"] for row in steps)))


def round_charts(metrics: Metrics, beta: float) -> list[Chart]:
    """Return the charts of what a round learns."""
    return [
        loss_chart(metrics),
        accuracy_chart(metrics),
        margin_chart(metrics),
        log_ratio_chart(metrics, beta),
        likelihood_chart(metrics),
    ]


def engine_charts(metrics: Metrics) -> list[Chart]:
    """Return the charts of how a round runs, those that there are figures for."""
    charts = [gradient_chart(metrics), learning_rate_chart(metrics), speed_chart(metrics), memory_chart(metrics)]
    return [chart for chart in charts if chart]


def loss_chart(metrics: Metrics) -> Chart:
    raw, held_out = series(metrics.steps, "loss"), series(metrics.evaluations, "eval_loss")
    first, now = raw[0][1], smooth(raw)[-1][1]
    found = "fell to" if now < first - UNCHANGED else "rose to" if now > first + UNCHANGED else "is still near"
    quantity = f"smoothed, from {decimal(first, 3)}"
    if held_out:
        quantity += f"; held out {decimal(held_out[-1][1], 3)}"
    return _chart(
        f"Loss {found} {decimal(now, 3)}",
        quantity,
        f"Training loss went from {decimal(first, 3)} to {decimal(now, 3)}",
        raw,
        metrics,
        lambda value: decimal(value, 3),
        held_out=held_out,
        before=metrics.before("loss"),
    )


def accuracy_chart(metrics: Metrics) -> Chart:
    key = "rewards/accuracies"
    raw, held_out = series(metrics.steps, key), series(metrics.evaluations, f"eval_{key}")
    now, y = smooth(raw)[-1][1], Scale(0, 1)
    title, quantity = f"It orders {shares(now)} of the pairs as people did", "training, smoothed; chance is 50%"
    if held_out:
        title = f"It orders {shares(held_out[-1][1])} of the held-out pairs as people did"
        quantity = f"training {shares(now)}, smoothed; chance is 50%"
        low, high = (metrics.evaluations[-1][f"eval_{key}_{end}"] for end in ("low", "high"))
        quantity = f"95% interval {shares(low)} to {shares(high)}; {quantity}"
    chart = _chart(
        title,
        quantity,
        f"Share of training pairs ordered as people did: {shares(now)}",
        raw,
        metrics,
        shares,
        held_out=held_out,
        before=metrics.before(key),
        y=y,
        ticks=y.ticks(share=True),
    )
    ends = [(row["step"], row.get(f"eval_{key}_low"), row.get(f"eval_{key}_high")) for row in metrics.evaluations]
    bars = [bar(step, low, high, metrics.x, y) for step, low, high in ends if low is not None and high is not None]
    return replace(chart, bars=bars)


def margin_chart(metrics: Metrics) -> Chart:
    key = "rewards/margins"
    raw, held_out = series(metrics.steps, key), series(metrics.evaluations, f"eval_{key}")
    now = smooth(raw)[-1][1]
    if abs(now) < UNCHANGED:
        title = "Chosen and rejected are not apart yet"
    else:
        title = f"{'Chosen' if now > 0 else 'Rejected'} answers are ahead by {decimal(abs(now), 2)}"
    quantity = "mean difference of rewards, smoothed"
    if held_out:
        quantity += f"; held out {decimal(held_out[-1][1], 2)}"
    return _chart(
        title,
        quantity,
        f"Mean difference of the rewards of chosen and rejected answers: {decimal(now, 2)}",
        raw,
        metrics,
        lambda value: decimal(value, 2),
        held_out=held_out,
        before=metrics.before(key),
        zero=True,
    )


def log_ratio_chart(metrics: Metrics, beta: float) -> Chart:
    """The log-ratios of policy and reference: a reward is β times one."""
    return _two(
        likelihood_finding(metrics.steps),
        "mean log-ratio to the reference, in nats, smoothed",
        "Mean log-ratio of an answer to the reference, in nats,",
        metrics,
        "rewards/{}",
        1 / beta,
        1,
    )


def likelihood_chart(metrics: Metrics) -> Chart:
    chosen, rejected = (smooth(series(metrics.steps, f"logps/{which}"))[-1][1] for which in ("chosen", "rejected"))
    likelier = "Chosen" if chosen > rejected else "Rejected"
    return _two(
        f"{likelier} answers are the likelier ones",
        "mean log-probability of an answer, in nats, smoothed; batches differ",
        "Mean log-probability of an answer, in nats,",
        metrics,
        "logps/{}",
        1.0,
        0,
    )


def _two(title: str, quantity: str, what: str, metrics: Metrics, key: str, factor: float, decimals: int) -> Chart:
    """Return a chart of one quantity of chosen answers and of rejected ones, with earlier rounds' behind them."""
    keys = [key.format(which) for which in ("chosen", "rejected")]
    chosen, rejected = ([(step, factor * value) for step, value in smooth(series(metrics.steps, key))] for key in keys)
    before = [points for key in keys for points in metrics.before(key, factor)]
    x, y = metrics.x, nice_scale([value for points in (chosen, rejected, *before) for _, value in points])
    said = [
        f"{which} {decimal(points[-1][1], decimals)}"
        for which, points in zip(("chosen", "rejected"), (chosen, rejected), strict=True)
    ]
    marks = keep_apart(mark("p", chosen[-1], x, y, said[0]), mark("p rej", rejected[-1], x, y, said[1]))
    lines = [*_behind(before, x, y), Line("l", path(chosen, x, y)), Line("l rej", path(rejected, x, y))]
    sentence = f"{what} at step {chosen[-1][0]:,.0f}: {', '.join(said)}."
    return Chart(title, quantity, sentence, y.ticks(), lines, marks, step_labels(chosen[-1][0], x.high))


def gradient_chart(metrics: Metrics) -> Chart | None:
    title, sentence = "The gradient’s norm is near {}", "Norm of the gradient before clipping: {}"
    most = max((value for _, value in series(metrics.steps, "grad_norm")), default=0.0)
    quantity = f"before clipping, smoothed; at most {decimal(most, 2)}"
    return _from_zero(metrics, "grad_norm", 2, title, quantity, sentence)


def learning_rate_chart(metrics: Metrics) -> Chart | None:
    raw = series(metrics.steps, "learning_rate")
    if not raw:
        return None
    most = max(value for _, value in raw) or 1.0
    now, y = _short(raw[-1][1]), Scale(0, most)
    end = mark("p", raw[-1], metrics.x, y, now)
    sentence = f"Learning rate {now} at step {raw[-1][0]:,.0f} of {metrics.x.high:,.0f}."
    lines, labels = [Line("l", path(raw, metrics.x, y))], step_labels(raw[-1][0], metrics.x.high)
    ticks = (_short(most), _short(most / 2), "0")
    return Chart(f"The learning rate is {now}", f"highest {_short(most)}", sentence, ticks, lines, [end], labels)


def _short(value: float) -> str:
    """Return a small number as recipes write it: 2e-4."""
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}" if value else "0"


def speed_chart(metrics: Metrics) -> Chart | None:
    title, sentence = "{} tokens a second", "Tokens a second: {}"
    return _from_zero(metrics, "tokens_per_second", 0, title, "of prompts and answers, smoothed", sentence)


def memory_chart(metrics: Metrics) -> Chart | None:
    title, sentence = "{} GB of memory at most", "Most memory since the round began: {} GB"
    return _from_zero(
        metrics, "peak_memory_bytes", 1, title, "the most since the round began", sentence, 1 / GB, mean=False
    )


def _from_zero(
    metrics: Metrics,
    key: str,
    decimals: int,
    title: str,
    quantity: str,
    sentence: str,
    factor: float = 1.0,
    mean: bool = True,
) -> Chart | None:
    """Return a chart of one quantity of each step, its scale from zero on.

    In title and sentence `{}` stands for its smoothed value, or without `mean` for its last one.
    """
    raw = [(step, factor * value) for step, value in series(metrics.steps, key)]
    if not raw:
        return None
    now = decimal((smooth(raw) if mean else raw)[-1][1], decimals)
    return _chart(
        title.format(now),
        quantity,
        sentence.format(now),
        raw,
        metrics,
        lambda value: decimal(value, decimals),
        before=metrics.before(key, factor),
        zero=True,
    )


def likelihood_finding(steps: Sequence[dict[str, Any]]) -> str:
    """Say whether answers became more or less likely than under the reference.

    Rewards tell: they compare each answer with itself, while log-probabilities differ from batch to batch.
    """
    chosen, rejected = (smooth(series(steps, f"rewards/{which}"))[-1][1] for which in ("chosen", "rejected"))
    if max(abs(chosen), abs(rejected)) < UNCHANGED:
        return "The answers are as likely as before"
    if chosen > 0 > rejected:
        return "Chosen answers got more likely, rejected ones less"
    if rejected > 0 > chosen:
        return "Chosen answers got less likely, rejected ones more"
    which = "chosen" if abs(chosen) > abs(rejected) else "rejected"
    return f"All answers got {'more' if chosen > 0 else 'less'} likely, {which} ones most"


def _chart(
    title: str,
    quantity: str,
    sentence: str,
    raw: list[Point],
    metrics: Metrics,
    label: Callable[[float], str],
    *,
    held_out: Sequence[Point] = (),
    before: Sequence[list[Point]] = (),
    zero: bool = False,
    y: Scale | None = None,
    ticks: tuple[str, str, str] | None = None,
) -> Chart:
    """Return a chart of one quantity: every step thin, smoothed thick, held out as rings, earlier rounds in grey.

    Its scale is the shortest around all of that, and around 0 with `zero`, unless `y` is given.
    """
    x, smoothed = metrics.x, smooth(raw)
    drawn = [*downsample(raw), *held_out, *(point for points in before for point in points)]
    y = y or nice_scale([value for _, value in drawn] + ([0.0] if zero else []))
    end = mark("p", smoothed[-1], x, y, label(smoothed[-1][1]))
    sentence = f"{sentence} at step {raw[-1][0]:,.0f} of {x.high:,.0f}."
    marks = [mark("p hollow", point, x, y) for point in held_out[:-1]]
    if held_out:
        marks += keep_apart(mark("p hollow", held_out[-1], x, y, label(held_out[-1][1])), end)
        sentence += f" Held out: {label(held_out[-1][1])}."
    else:
        marks.append(end)
    lines = [*_behind(before, x, y), Line("raw", path(raw, x, y)), Line("l", path(smoothed, x, y))]
    return Chart(title, quantity, sentence, ticks or y.ticks(), lines, marks, step_labels(raw[-1][0], x.high))


def _behind(before: Sequence[list[Point]], x: Scale, y: Scale) -> list[Line]:
    return [Line("old", path(points, x, y)) for points in before if points]
