"""Comparisons are made as completions land, so that judging can begin while the rest is being sampled."""

import random
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When

from annotate.models import EVALUATION_PRIORITY, SHUFFLED, Comparison, Slot
from annotate.queue import call_back
from generation.models import Completion, SamplingItem, SamplingJob
from generation.signals import item_sampled
from projects.models import Project
from projects.signals import project_saved

BATCH = 2_000  # comparisons: some 20 ms of the write lock


def listen() -> None:
    item_sampled.connect(on_item_sampled, dispatch_uid="annotate.comparisons")
    project_saved.connect(on_project_saved, dispatch_uid="annotate.comparisons")


def on_item_sampled(item: SamplingItem, **_kwargs: Any) -> None:
    if item.job.purpose == SamplingJob.Purpose.JUDGING:
        make_comparisons(item)


def on_project_saved(project: Project, **_kwargs: Any) -> None:
    apply_overlap(project)


def distinct_answers(completions: list[Completion]) -> list[list[Completion]]:
    """Group completions that read the same; a slot shows one of each group. Empty answers are left out."""
    by_text: dict[str, list[Completion]] = {}
    for completion in completions:
        if text := folded(completion.text):
            by_text.setdefault(text, []).append(completion)
    return list(by_text.values())


def folded(text: str) -> str:
    """Return what is seen of a text: blanks at the ends of lines do not show; indentation does, in a program."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def make_comparisons(item: SamplingItem) -> list[Comparison]:
    """Deal an item's distinct answers into comparisons; one that is left alone is not shown."""
    # Locked: who changes the overlap meanwhile waits, and then finds these comparisons too.
    project = Project.objects.select_for_update(no_key=True).get(pk=item.job.project_id)
    size = project.answers_per_comparison
    answers = distinct_answers(list(item.completions.order_by("index")))
    # Nothing on the page may follow the order of sampling; the job's seed makes the draw repeatable.
    draw = random.Random(f"{item.seed}:{item.prompt.digest}")  # noqa: S311  (no secret)
    draw.shuffle(answers)
    hands = [answers[start : start + size] for start in range(0, len(answers), size)]
    return [_make(project, item, hand, draw.randrange(SHUFFLED)) for hand in hands if len(hand) > 1]


def make_evaluation(project: Project, first: Completion, second: Completion, draw: random.Random) -> Comparison:
    """Make a comparison of two policies' answers to a prompt, for one person to judge; it trains nothing.

    It stands behind all others: `annotate.queue` goes there as often as the project's share says.
    """
    answers = [[first], [second]]
    draw.shuffle(answers)
    comparison = Comparison(
        project=project,
        prompt_id=first.prompt_id,
        context_id=first.context_id if first.context_id == second.context_id else None,
        purpose=Comparison.Purpose.EVALUATION,
        slots=len(answers),
        priority=EVALUATION_PRIORITY,
        shuffle=draw.randrange(SHUFFLED),
        wanted=1,
    )
    return _store(comparison, answers)


def wanted(project: Project, shuffle: int) -> int:
    """Return how many people are to judge a comparison: its shuffle, drawn at random, decides where only a share is."""
    return project.overlap if shuffle % 100 < project.overlap_percent else 1


def apply_overlap(project: Project) -> None:
    """Let the project's overlap hold for the comparisons it has, in short transactions. Repeating it is harmless."""
    last = 0
    while pks := list(project.comparisons.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        last = pks[-1]
        _apply_overlap(project.pk, pks)


@transaction.atomic
def _apply_overlap(project_id: int, pks: list[int]) -> None:
    """Read the overlap again, locked: two admins may save at once, and what was saved last holds for every batch."""
    project = Project.objects.select_for_update(no_key=True).get(pk=project_id)
    share = When(draw__lt=project.overlap_percent, then=project.overlap)
    drawn = project.comparisons.filter(purpose=Comparison.Purpose.TRAIN).annotate(draw=F("shuffle") % 100)
    drawn.filter(pk__in=pks).update(wanted=Case(share, default=Value(1)))


def _make(project: Project, item: SamplingItem, answers: list[list[Completion]], shuffle: int) -> Comparison:
    comparison = Comparison(
        project=project,
        prompt=item.prompt,
        context=answers[0][0].context,
        item=item,
        slots=len(answers),
        shuffle=shuffle,
        wanted=wanted(project, shuffle),
    )
    _store(comparison, answers)
    call_back(comparison)
    return comparison


def _store(comparison: Comparison, answers: list[list[Completion]]) -> Comparison:
    """Save a comparison with its answers, those that share a slot together."""
    comparison.save()
    Slot.objects.bulk_create(
        [
            Slot(comparison=comparison, number=number, completion=completion)
            for number, same in enumerate(answers)
            for completion in same
        ]
    )
    return comparison
