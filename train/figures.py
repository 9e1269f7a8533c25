"""The figures that the pages of rounds show: what there is to train on, how far a round is, what came of it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Q
from django.utils import timezone

from annotate.models import Comparison, PreferencePair
from annotate.review import LeftOut, left_out
from generation.models import Completion, SamplingItem
from jobs.charts import Chart, shares
from jobs.models import Job
from projects.models import Project, Prompt
from train.charts import engine_charts, metrics_of, round_charts
from train.datasets import last_round
from train.engine.output import terminal_line
from train.models import Round, RoundMetric

MOST_ROWS = 1000  # metrics rows read for the curves
LOG_LINES = 6
MOST_EARLIER = 5  # rounds to choose from, of which all are drawn at first
PROMPTS_A_PAGE = 10
STEPS_BEFORE_A_GUESS = 3


@dataclass(frozen=True)
class PairFigures:
    """What there is to train on by now."""

    train: int
    held_out: int
    prompts: int
    people: int
    new: int  # training pairs judged since the last round's dataset
    last_round: int | None  # its number
    left_out: LeftOut


def pair_figures(project: Project) -> PairFigures:
    last = last_round(project)
    since = last.dataset.as_of if last else 0
    pairs = PreferencePair.objects.current().of_project(project)
    counted = pairs.filter(revision__judgement__comparison__purpose=Comparison.Purpose.TRAIN)
    train = Q(prompt__side=Prompt.Side.TRAIN)
    figures = counted.aggregate(
        train=Count("pk", filter=train),
        held_out=Count("pk", filter=~train),
        prompts=Count("prompt", filter=train, distinct=True),
        people=Count("revision__person", filter=train, distinct=True),
        new=Count("pk", filter=train & Q(revision__gt=since)),
    )
    return PairFigures(**figures, last_round=last.number if last else None, left_out=left_out(project))


def held_out_accuracy(round: Round) -> str:
    """Return the share of held-out pairs that the new policy orders as people did, with its 95% interval."""
    found = (round.summary or {}).get("eval_metrics") or {}
    if found.get("eval_rewards/accuracies") is None:
        return ""
    low, high = (100 * found[f"eval_rewards/accuracies_{end}"] for end in ("low", "high"))
    return f"{shares(found['eval_rewards/accuracies'])} ({low:.0f} to {high:.0f})"


@dataclass(frozen=True)
class Stage:
    name: str
    state: str  # "done", "now" or "todo"


@dataclass(frozen=True)
class Watch:
    """How far a round is, from the metrics of its newest attempt."""

    stages: list[Stage]
    done: int
    total: int
    sentence: str
    charts: list[Chart]
    engine_charts: list[Chart]
    earlier: list[Round]  # that can be drawn behind them
    behind: list[int]  # the numbers of those that are
    log: str
    last_step: dict[str, Any] | None


def watch(round: Round, against: str = "") -> Watch:
    """Return how far a round is; `against` says what is drawn behind it: a round's number, "none", else all earlier."""
    newest = RoundMetric.objects.filter(round=round, attempt=round.attempt)
    tail = list(newest.order_by("-line").values_list("values", flat=True)[:LOG_LINES])
    last = tail[0] if tail else {}
    rows = _thinned(round.pk, round.attempt)
    earlier = earlier_rounds(round)
    behind = [] if against == "none" else [one for one in earlier if str(one.number) == against] or earlier
    metrics = metrics_of(rows, [_ended(one.pk, one.attempt, one.finished_at) for one in behind])
    steps = [row for row in rows if "loss" in row]
    # The thinned rows may miss the very last step; the log's lines do not.
    last_step = next((row for row in tail if "loss" in row), steps[-1] if steps else None)
    done, total = (last["done"], last["total"]) if "stage" in last else (last.get("step", 0), last.get("steps", 1))
    return Watch(
        stages=stages(round, last),
        done=done,
        total=total or 1,
        sentence=sentence(round, last),
        charts=round_charts(metrics, round.configuration["beta"]) if metrics else [],
        engine_charts=engine_charts(metrics) if metrics else [],
        earlier=earlier,
        behind=[one.number for one in behind],
        log="\n".join(terminal_line(row) for row in reversed(tail)),
        last_step=last_step,
    )


def earlier_rounds(round: Round) -> list[Round]:
    """Return the last rounds before this one that made a policy, the newest first."""
    before = Round.objects.filter(project=round.project_id, number__lt=round.number, status=Job.Status.SUCCEEDED)
    return list(before.only("pk", "number", "attempt", "finished_at", "project").order_by("-number")[:MOST_EARLIER])


@lru_cache(maxsize=64)
def _ended(round: int, attempt: int, finished_at: datetime) -> list[dict[str, Any]]:
    """Return the metrics of a round that ended then: they do not change any more."""
    return _thinned(round, attempt)


def _thinned(round: int, attempt: int) -> list[dict[str, Any]]:
    """Return the metrics in order, of a long round only every so manieth step; evaluations are all kept."""
    newest = RoundMetric.objects.filter(round=round, attempt=attempt)
    every = newest.count() // MOST_ROWS + 1
    kept = newest.annotate(place=F("line") % every).filter(Q(place=0) | Q(values__has_key="eval_loss"))
    return list(kept.order_by("line").values_list("values", flat=True))


def stages(round: Round, last: dict[str, Any]) -> list[Stage]:
    """Return the stages of a round and which of them is under way, by the last line of its metrics."""
    names = [f"Dataset {round.dataset.number} frozen", "Reference log-probabilities", "Training"]
    names += ["Held-out pairs"] if round.dataset.held_out_groups else []
    names += ["Policy saved"]
    if round.status == Job.Status.SUCCEEDED:
        now = len(names)
    elif not round.dataset.frozen_at:
        now = 0
    else:
        now = names.index(_stage_name(last, names))
    states = ["done" if i < now else "now" if i == now and round.is_active else "todo" for i in range(len(names))]
    return [Stage(name, state) for name, state in zip(names, states, strict=True)]


def _stage_name(last: dict[str, Any], names: list[str]) -> str:
    if last.get("stage") == "saving" or "eval_loss" in last and last["step"] == last["steps"]:
        return "Policy saved"
    if last.get("stage") == "evaluating" and "Held-out pairs" in names:
        return "Held-out pairs"
    return "Training" if "step" in last or last.get("stage") == "training" else "Reference log-probabilities"


def sentence(round: Round, last: dict[str, Any]) -> str:
    """Say what an active round does or waits for now."""
    if round.status == Job.Status.QUEUED:
        return round.message or "Waiting for a training worker."
    if "step" not in last:
        return round.message or "Getting ready."
    text = f"Step {last['step']:,} of {last['steps']:,}."
    left = seconds_left(since(round), last["step"], last["steps"], timezone.now())
    return f"{text} {about(left).capitalize()} left." if left else text


def since(round: Round) -> tuple[datetime, int] | None:
    """Return when the newest attempt had done its first own step, and which: the reference pass came before it.

    A round that goes on from a checkpoint begins its metrics with those of the steps that it need not do again.
    """
    rows = round.metrics.filter(attempt=round.attempt).order_by("line")
    began = rows.filter(values__stage="training").last()
    first = began and rows.filter(line__gt=began.line, values__has_key="loss").first()
    return (first.created_at, first.values["step"]) if first else None


def seconds_left(began: tuple[datetime, int] | None, step: int, steps: int, now: datetime) -> float | None:
    """Guess how long the other steps take, or None when it is too early to tell or nothing is left."""
    if began is None or step - began[1] < STEPS_BEFORE_A_GUESS - 1 or step >= steps:
        return None
    return (now - began[0]).total_seconds() / (step - began[1]) * (steps - step)


def about(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 60:
        return "less than a minute"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


@dataclass
class Pair:
    """A held-out prompt with its answers before and after the round."""

    prompt: Prompt
    before: SamplingItem | None = None
    after: SamplingItem | None = None


@dataclass(frozen=True)
class BeforeAndAfter:
    job: Job
    page: "Page[SamplingItem]"
    pairs: list[Pair]
    lengths: str
    answered: int  # items of this page


def before_and_after(round: Round, number: str | None) -> BeforeAndAfter | None:
    """Return a page of held-out prompts with both answers, or None where they are not asked for."""
    job = round.before_and_after
    if job is None:
        return None
    page = Paginator(job.items.filter(policy=round.start).order_by("position"), PROMPTS_A_PAGE).get_page(number)
    items = job.items.filter(prompt__in=[item.prompt_id for item in page]).order_by("position")
    pairs: dict[int, Pair] = {}
    answered = 0
    for item in items.select_related("prompt").prefetch_related("completions"):
        pair = pairs.setdefault(item.prompt_id, Pair(item.prompt))
        answered += item.status != SamplingItem.Status.PENDING
        if item.policy_id == round.start_id:
            pair.before = item
        else:
            pair.after = item
    return BeforeAndAfter(job, page, list(pairs.values()), mean_lengths(round), answered)


def mean_lengths(round: Round) -> str:
    """Compare the mean lengths over the prompts that both policies have answered; empty before there is one."""
    tokens: dict[int, dict[int, int]] = {}
    answers = Completion.objects.filter(item__job=round.before_and_after)
    for prompt, policy, ids in answers.values_list("prompt", "policy", "token_ids"):
        tokens.setdefault(prompt, {})[policy] = len(ids or [])
    both = [lengths for lengths in tokens.values() if len(lengths) == 2]
    if not both or round.policy_id is None:
        return ""
    before, after = (sum(lengths[pk] for lengths in both) / len(both) for pk in (round.start_id, round.policy_id))
    counted = "the 1 prompt" if len(both) == 1 else f"the {len(both):,} prompts"
    return (
        f"Over {counted} that both have answered, an answer has {after:.0f} tokens on average; "
        f"before it had {before:.0f}."
    )
