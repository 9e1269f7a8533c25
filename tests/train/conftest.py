"""What the tests of rounds share: judged prompts, and rounds with metrics."""

import itertools

import pytest

from annotate.judging import best_of, record
from generation.engine import Answer, Parameters, Sampled
from generation.models import Policy
from generation.sampling import store
from jobs.attempts import Attempt
from jobs.models import Job
from projects.models import Prompt
from train.contests import start_contest
from train.models import Contest, Round, RoundMetric
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


@pytest.fixture
def rival(policy, project) -> Policy:
    """What a round made of the policy."""
    return Policy.objects.create(
        name="Plain answers, round 1",
        path="rounds/1/policy",
        fingerprint="e" * 64,
        tokenizer_fingerprint="t" * 64,
        project=project,
        parent=policy,
    )


@pytest.fixture
def held_out(add_prompts):
    """Return a function that makes so many prompts, all held out."""

    def make(how_many: int = 12) -> list[Prompt]:
        prompts = add_prompts(*(f"Held-out question {number}?" for number in range(how_many)))
        Prompt.objects.filter(pk__in=[prompt.pk for prompt in prompts]).update(side=Prompt.Side.HELD_OUT)
        return prompts

    return make


@pytest.fixture
def start(project, policy, rival, alice):
    """Return a function that starts a blind A/B of the rival against the policy."""

    def begin(size: int = 12, percent: int = 100, **about) -> Contest:
        parameters = Parameters(n=1, temperature=about.pop("temperature", 1.0), top_p=1.0, top_k=0, max_tokens=64)
        about = {"first": rival, "second": policy, "seed": 3, "user": alice} | about
        return start_contest(project, **about, size=size, percent=percent, parameters=parameters)

    return begin


@pytest.fixture
def answered():
    """Return a function that stores the answers of both policies to a contest's prompts, as its job does."""

    def answer(contest: Contest, text=lambda item, index: f"{item.policy} says {index}", refused=()) -> Contest:
        job = contest.sampling
        attempt = Attempt(job.pk, Job.objects.claim(job.pk))
        for item in job.items.select_related("prompt", "policy").order_by("position"):
            found = [Answer(i, text(item, i), [5, 6, 7 + i], -3.0 - i, "stop") for i in range(job.n)]
            refusal = "It is too long." if item.prompt_id in refused else ""
            store(attempt, item, item.policy, Sampled(item.pk, [1, 2, 3], [] if refusal else found, refusal))
        attempt.beat(progress=job.total)
        attempt.finish(Job.Status.SUCCEEDED)
        return contest

    return answer
