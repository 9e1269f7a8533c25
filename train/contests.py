"""Blind A/Bs: starting one, pairing the answers as they come, and stopping it."""

import random
import secrets
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotate.comparisons import folded, make_evaluation
from annotate.models import Comparison
from generation.engine import Parameters
from generation.models import Completion, Policy, SamplingItem, SamplingJob
from generation.sampling import create_sampling_job
from generation.signals import item_sampled
from jobs.attempts import cancel
from projects.models import Project, Prompt
from train.models import Contest, Pairing

MOST_ANSWERS = 64  # of one policy to a prompt


class ContestError(ValueError):
    """A contest that cannot be held. The text says what came, what is allowed, and what to do."""


def listen() -> None:
    item_sampled.connect(on_item_sampled, dispatch_uid="train.contests")


def on_item_sampled(item: SamplingItem, **_kwargs: Any) -> None:
    if item.job.purpose == SamplingJob.Purpose.CONTEST:
        pair_up(item)


def held_out_prompts(project: Project) -> "QuerySet[Prompt]":
    return Prompt.objects.imported().held_out().filter(project=project).order_by("pk")


@transaction.atomic
def start_contest(
    project: Project,
    first: Policy,
    second: Policy,
    *,
    size: int,
    percent: int,
    parameters: Parameters,
    user: User | None = None,
    seed: int | None = None,
) -> Contest:
    """Have both policies answer held-out prompts, so that people judge `size` pairs of answers.

    Each prompt is asked once where there are enough of them, drawn by the seed; else all are, and as often as it takes.
    Of the parameters `n` follows from that. The contest takes `percent` of what the queue gives each person.

    Raises:
        ContestError: there are not two policies, or too few held-out prompts for this size.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    prompts = list(held_out_prompts(project))
    each = _answers_to_each(first, second, len(prompts), size, parameters)
    chosen = random.Random(seed).sample(prompts, min(size, len(prompts)))  # noqa: S311  (no secret)
    sampling = create_sampling_job(
        project,
        [first, second],
        chosen,
        parameters=replace(parameters, n=each),
        seed=seed,
        purpose=SamplingJob.Purpose.CONTEST,
        title=f"blind A/B of {first} and {second}",
        user=user,
    )
    contest = Contest.objects.create(
        project=project,
        first=first,
        second=second,
        size=size,
        percent=percent,
        seed=seed,
        sampling=sampling,
        created_by=user,
    )
    _share_out(project)
    return contest


def _answers_to_each(first: Policy, second: Policy, prompts: int, size: int, parameters: Parameters) -> int:
    """Return how often each policy answers each prompt."""
    if first == second:
        raise ContestError(f"A blind A/B is between two policies, got “{first}” twice. Choose another one.")
    if not prompts:
        raise ContestError("No prompt of this project is held out. Import more prompts: a share of them will be.")
    each = -(-size // prompts)
    if each > 1 and parameters.temperature == 0:
        raise ContestError(
            f"At temperature 0 every answer to a prompt is the same, so {prompts:,} held-out prompts give {prompts:,} "
            f"comparisons at most (got {size:,}). Ask for fewer, or raise the temperature."
        )
    if each > MOST_ANSWERS:
        raise ContestError(
            f"{prompts:,} held-out prompts give at most {prompts * MOST_ANSWERS:,} comparisons, {MOST_ANSWERS} each "
            f"(got {size:,}). Ask for fewer, or import more prompts."
        )
    return each


def pair_up(item: SamplingItem) -> None:
    """Pair the answers of both policies to a prompt, once both are there. Those that read the same are a tie."""
    contest = Contest.objects.select_for_update(no_key=True).filter(sampling=item.job_id, stopped_at=None).first()
    if contest is None:
        return
    done = item.job.items.filter(prompt=item.prompt, status=SamplingItem.Status.DONE)
    items = {one.policy_id: one for one in done}
    if len(items) < 2:
        return
    prompts = item.job.total // 2
    first, second = (list(items[pk].completions.order_by("index")) for pk in (contest.first_id, contest.second_id))
    # The first answers to all prompts come before the second ones: so there are exactly `size` pairs.
    wanted = [index for index in range(item.job.n) if item.position % prompts + index * prompts < contest.size]
    for index in wanted:
        _store_pairing(contest, item.prompt, first[index], second[index])


def _store_pairing(contest: Contest, prompt: Prompt, first: Completion, second: Completion) -> None:
    comparison = None
    if folded(first.text) != folded(second.text):
        draw = random.Random(f"{contest.seed}:{prompt.digest}:{first.index}")  # noqa: S311  (no secret)
        comparison = make_evaluation(contest.project, first, second, draw)
    Pairing.objects.create(contest=contest, first_answer=first, second_answer=second, comparison=comparison)


@transaction.atomic
def stop_contest(contest: Contest, user: User) -> None:
    """Give nobody any more of a contest. What was judged stays, and what lies before people may still be judged."""
    locked = Contest.objects.select_for_update(no_key=True).get(pk=contest.pk)
    if locked.stopped_at:
        return
    Contest.objects.filter(pk=contest.pk).update(stopped_at=Now(), stopped_by=user)
    Comparison.objects.filter(pairing__contest=contest).update(wanted=0)
    cancel(contest.sampling)
    _share_out(contest.project)


def _share_out(project: Project) -> None:
    """Tell the queue the share of the contests under way. That of one which ends by itself is no more asked for."""
    Project.objects.filter(pk=project.pk).update(evaluation_percent=min(100, shares_given(project)))


def shares_given(project: Project) -> int:
    """Return how much of the queue the contests under way have, in per cent."""
    return sum(contest.percent for contest in Contest.objects.under_way().filter(project=project))
