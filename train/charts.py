"""The charts of a round: its metrics in, what they show and sentences out. No Django here."""

from collections.abc import Iterable, Sequence
from typing import Any

from jobs.charts import (
    PLOT_WIDTH,
    Chart,
    Line,
    Point,
    Scale,
    StepLabel,
    decimal,
    downsample,
    keep_apart,
    mark,
    nice_scale,
    path,
    shares,
)

SMOOTHING = 0.9  # weight of the past in the smoothed line
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


def round_charts(rows: Sequence[dict[str, Any]]) -> list[Chart]:
    """Return the four charts of a round from its metrics, or none before the first step."""
    steps = [row for row in rows if "loss" in row]
    evaluations = [row for row in rows if "eval_loss" in row]
    if not series(steps, "loss"):
        return []
    x = Scale(0, max(row["steps"] for row in steps))
    return [
        loss_chart(steps, evaluations, x),
        accuracy_chart(steps, evaluations, x),
        margin_chart(steps, evaluations, x),
        likelihood_chart(steps, x),
    ]


def loss_chart(steps: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]], x: Scale) -> Chart:
    raw, held_out = series(steps, "loss"), series(evaluations, "eval_loss")
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
        held_out,
        x,
        nice_scale([value for _, value in downsample(raw) + held_out]),
        lambda value: decimal(value, 3),
    )


def accuracy_chart(steps: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]], x: Scale) -> Chart:
    raw, held_out = series(steps, "rewards/accuracies"), series(evaluations, "eval_rewards/accuracies")
    now = smooth(raw)[-1][1]
    title, quantity = f"It orders {shares(now)} of the pairs as people did", "training, smoothed; chance is 50%"
    if held_out:
        title = f"It orders {shares(held_out[-1][1])} of the held-out pairs as people did"
        quantity = f"training {shares(now)}, smoothed; chance is 50%"
        low, high = (evaluations[-1][f"eval_rewards/accuracies_{end}"] for end in ("low", "high"))
        quantity = f"95% interval {shares(low)} to {shares(high)}; {quantity}"
    sentence = f"Share of training pairs ordered as people did: {shares(now)}"
    return _chart(title, quantity, sentence, raw, held_out, x, Scale(0, 1), shares)


def margin_chart(steps: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]], x: Scale) -> Chart:
    raw, held_out = series(steps, "rewards/margins"), series(evaluations, "eval_rewards/margins")
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
        held_out,
        x,
        nice_scale([0.0, *(value for _, value in downsample(raw) + held_out)]),
        lambda value: decimal(value, 2),
    )


def likelihood_chart(steps: Sequence[dict[str, Any]], x: Scale) -> Chart:
    chosen, rejected = smooth(series(steps, "logps/chosen")), smooth(series(steps, "logps/rejected"))
    y = nice_scale([value for _, value in chosen + rejected])
    marks = keep_apart(
        mark("p", chosen[-1], x, y, f"chosen {decimal(chosen[-1][1], 0)}"),
        mark("p rej", rejected[-1], x, y, f"rejected {decimal(rejected[-1][1], 0)}"),
    )
    return Chart(
        likelihood_finding(steps),
        "mean log-probability of an answer, smoothed; batches differ",
        f"Mean log-probability of an answer at step {chosen[-1][0]:,.0f}: "
        f"chosen {decimal(chosen[-1][1], 0)}, rejected {decimal(rejected[-1][1], 0)}.",
        y.ticks(),
        [Line("l", path(chosen, x, y)), Line("l rej", path(rejected, x, y))],
        marks,
        step_labels(chosen[-1][0], x.high),
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
    held_out: list[Point],
    x: Scale,
    y: Scale,
    label: Any,
) -> Chart:
    """Return a chart of one quantity: every step thin, smoothed thick, held out as rings."""
    smoothed = smooth(raw)
    end = mark("p", smoothed[-1], x, y, label(smoothed[-1][1]))
    sentence = f"{sentence} at step {raw[-1][0]:,.0f} of {x.high:,.0f}."
    marks = [mark("p hollow", point, x, y) for point in held_out[:-1]]
    if held_out:
        marks += keep_apart(mark("p hollow", held_out[-1], x, y, label(held_out[-1][1])), end)
        sentence += f" Held out: {label(held_out[-1][1])}."
    else:
        marks.append(end)
    lines = [Line("raw", path(raw, x, y)), Line("l", path(smoothed, x, y))]
    return Chart(
        title, quantity, sentence, y.ticks(share=label is shares), lines, marks, step_labels(raw[-1][0], x.high)
    )
