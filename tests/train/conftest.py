"""What the tests of rounds share: judged prompts, and rounds with metrics."""

import itertools

import pytest

from annotate.judging import best_of, record
from projects.models import Prompt
from train.models import Round, RoundMetric
from train.recipes import RoundSettings
from train.rounds import launch_round


@pytest.fixture
def judge(bob):
    """Return a function that lets bob choose the answer "better" of each comparison."""
    keys = itertools.count()

    def choose(*comparisons):
        for comparison in comparisons:
            shown = list(range(comparison.slots))
            winner = comparison.answers.get(completion__text="better").number
            record(bob, comparison, best_of(winner, comparison.slots), shown=shown, client_key=f"key-{next(keys)}")

    return choose


@pytest.fixture
def judged(add_prompts, sampled, judge):
    """Four judged prompts, the last of them held out: three pairs to train on, one to measure with."""
    prompts = add_prompts("One?", "Two?", "Three?", "Four?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    Prompt.objects.filter(pk=prompts[-1].pk).update(side=Prompt.Side.HELD_OUT)
    for prompt in prompts:
        prompt.refresh_from_db()
    judge(*sampled({prompt: ["better", "worse"] for prompt in prompts}))
    return prompts


@pytest.fixture
def launched(project, policy, judged, alice) -> Round:
    return launch_round(project, policy, RoundSettings(), user=alice)


@pytest.fixture
def add_metrics():
    """Return a function that stores lines of the trainer's metrics for the newest attempt."""

    def add(round: Round, *rows: dict):
        first = RoundMetric.objects.filter(round=round, attempt=round.attempt).count()
        RoundMetric.objects.bulk_create(
            RoundMetric(round=round, attempt=round.attempt, line=first + i, values=values)
            for i, values in enumerate(rows)
        )

    return add


def step_line(step: int, steps: int = 10, **values):
    """A line as the trainer writes it for one step."""
    return {
        "step": step,
        "steps": steps,
        "epoch": step / steps,
        "loss": 0.6931 - 0.01 * step,
        "rewards/chosen": 0.02 * step,
        "rewards/rejected": -0.03 * step,
        "rewards/accuracies": 0.75,
        "rewards/margins": 0.05 * step,
        "logps/chosen": -140.0,
        "logps/rejected": -150.0,
        "grad_norm": 1.0,
        "learning_rate": 2e-4,
        "tokens_per_second": 1630.0,
        "peak_memory_bytes": 2_000_000_000,
        **values,
    }
