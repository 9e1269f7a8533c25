"""Does the loop learn, and in the right direction? `make learn`, or `python -m benchmarks.learn`.

A Winnow of its own is started as `make run` starts it, with the demo. All of the demo's prompts are sampled through
vLLM; a scripted person judges every comparison, always for the shortest answer; one round trains with the demo's
preset; base and new policy answer the held-out prompts. Then the same person changes every judgement to the longest
answer, and a second round starts from the base again. Swapped labels, a wrong mask, a dead adapter or a wrong
reference fail this. Goals: mean length at least 30% shorter, and at least 8% longer; a round within 10 minutes.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.stack import DEMO_MODEL, Stack, wait_until

SAMPLES = 12  # a held-out prompt and policy
SEED = 2  # of those
PATIENCE = 1800.0
SHORTER_GOAL, LONGER_GOAL, ROUND_SECONDS_GOAL = -0.30, 0.08, 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="data folder to use, or use again; a temporary one by default")
    parser.add_argument("--only", choices=("shorter", "longer"), help="measure one direction alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-learn-") as temporary:
        home = options.home or Path(temporary)
        os.environ["WINNOW_HOME"] = str(home)
        stack = Stack(home, DEMO_MODEL)
        try:
            stack.start()
            return measure(options.only)
        finally:
            stack.stop()


def measure(only: str | None) -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from generation.models import Policy

    sample_the_rest()
    base = Policy.objects.get(base=None)
    before = held_out_lengths(base)
    report("base", before, before)
    verdicts = []
    for name, choose, goal in (("shorter", min, SHORTER_GOAL), ("longer", max, LONGER_GOAL)):
        if only not in (None, name):
            continue
        judged = judge_all(choose)
        policy, seconds = train(base)
        after = held_out_lengths(policy)
        change = report(f"{name} ({judged} judgements, round of {seconds:.0f} s)", after, before)
        good = (change <= goal if goal < 0 else change >= goal) and seconds <= ROUND_SECONDS_GOAL
        verdicts.append(good)
        print(f"  goal {goal:+.0%} within {ROUND_SECONDS_GOAL:.0f} s: {'met' if good else 'MISSED'}")
    print(f"machine: {os.cpu_count()} cores, {platform.processor() or platform.machine()}; {time.strftime('%Y-%m-%d')}")
    return 0 if all(verdicts) else 1


def wait_for(job):
    def ended():
        job.refresh_from_db()
        return not job.is_active

    wait_until(ended, PATIENCE, str(job), interval=1.0)
    assert job.status == "succeeded", f"{job}: {job.status} {job.error}"
    return job


def sample_the_rest() -> None:
    from generation.engine import Parameters
    from generation.models import Policy, SamplingJob
    from generation.sampling import create_sampling_job, unsampled_prompts
    from projects.models import Project, Prompt
    from web.demo import ANSWER_TOKENS

    project = Project.objects.get()
    first = wait_for(SamplingJob.objects.order_by("pk").first())
    if not unsampled_prompts(project):
        print(f"all {Prompt.objects.count()} prompts were sampled by an earlier run")
        return
    parameters = Parameters(n=4, temperature=1.0, top_p=1.0, top_k=0, max_tokens=ANSWER_TOKENS)
    policies = [Policy.objects.get(base=None)]
    job = create_sampling_job(project, policies, unsampled_prompts(project), parameters=parameters, seed=1)
    wait_for(job)
    print(f"sampled {first.total + job.total} prompts; {job.total} in {(job.finished_at - job.started_at).seconds} s")


def judge_all(choose: Callable) -> int:
    """Have the scripted person judge, or judge anew, every comparison."""
    from django.contrib.auth.models import User

    from annotate.judging import best_of, record
    from annotate.models import Comparison
    from annotate.queue import next_lease
    from projects.models import Project

    person, project = User.objects.get(username="anna"), Project.objects.get()
    while lease := next_lease(person, project):
        give(person, lease.comparison, choose, best_of, record, lease.shown)
    judged = 0
    for comparison in Comparison.objects.filter(project=project):
        give(person, comparison, choose, best_of, record, list(range(comparison.slots)))
        judged += 1
    return judged


def give(person, comparison, choose, best_of, record, shown) -> None:
    answers = comparison.answers.select_related("completion")
    lengths = {answer.number: len(answer.completion.token_ids) for answer in answers}
    winner = choose(lengths, key=lengths.get)
    record(person, comparison, best_of(winner, comparison.slots), shown=shown, client_key=str(uuid.uuid4()))


def train(base):
    """Train one round with the demo's preset; return its policy and how many seconds it took."""
    from projects.models import Project
    from train.rounds import RoundSettings, launch_round

    round = wait_for(launch_round(Project.objects.get(), base, RoundSettings()))
    round.refresh_from_db()
    last = round.metrics.filter(values__has_key="rewards/margins").order_by("-pk").first().values
    print(f"{round}: {json.dumps({key: last[key] for key in ('step', 'loss', 'rewards/margins')})}")
    return round.policy, (round.finished_at - round.started_at).total_seconds()


def held_out_lengths(policy) -> list[tuple[int, bool]]:
    """Sample the held-out prompts; return each answer's length in tokens and whether it ended by itself."""
    from generation.engine import Parameters
    from generation.models import Completion, SamplingJob
    from generation.sampling import create_sampling_job
    from projects.models import Project, Prompt
    from web.demo import ANSWER_TOKENS

    project = Project.objects.get()
    earlier = SamplingJob.objects.filter(items__policy=policy, n=SAMPLES, seed=SEED, status="succeeded").first()
    job = earlier or create_sampling_job(
        project,
        [policy],
        Prompt.objects.imported().held_out().filter(project=project),
        parameters=Parameters(n=SAMPLES, temperature=1.0, top_p=1.0, top_k=0, max_tokens=ANSWER_TOKENS),
        seed=SEED,
        purpose=SamplingJob.Purpose.COMPARE,
    )
    wait_for(job)
    answers = Completion.objects.filter(item__job=job)
    return [(len(answer.token_ids), answer.finish_reason == "stop") for answer in answers]


def report(name: str, answers: list[tuple[int, bool]], before: list[tuple[int, bool]]) -> float:
    lengths, base = [length for length, _ in answers], [length for length, _ in before]
    mean, error = statistics.mean(lengths), statistics.stdev(lengths) / len(lengths) ** 0.5
    change = mean / statistics.mean(base) - 1
    ended = sum(stopped for _, stopped in answers) / len(answers)
    print(
        f"{name}: {mean:.1f} ± {error:.1f} tokens ({change:+.1%}), {ended:.0%} ended by themselves, n = {len(answers)}"
    )
    return change


if __name__ == "__main__":
    sys.exit(main())
