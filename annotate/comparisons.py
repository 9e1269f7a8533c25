"""Comparisons are made as completions land, so that judging can begin while the rest is being sampled."""

import random
from typing import Any

from annotate.models import Comparison, Slot
from generation.models import Completion, SamplingItem, SamplingJob
from generation.signals import item_sampled

LARGEST_SHUFFLE = 2**62


def listen() -> None:
    item_sampled.connect(on_item_sampled, dispatch_uid="annotate.comparisons")


def on_item_sampled(item: SamplingItem, **_kwargs: Any) -> None:
    if item.job.purpose == SamplingJob.Purpose.JUDGING:
        make_comparisons(item)


def distinct_answers(completions: list[Completion]) -> list[list[Completion]]:
    """Group completions that read the same; a slot shows one of each group. Empty answers are left out."""
    by_text: dict[str, list[Completion]] = {}
    for completion in completions:
        # Blanks at the ends of lines do not show; indentation does, and makes another program.
        if folded := "\n".join(line.rstrip() for line in completion.text.strip().splitlines()):
            by_text.setdefault(folded, []).append(completion)
    return list(by_text.values())


def make_comparisons(item: SamplingItem) -> list[Comparison]:
    """Deal an item's distinct answers into comparisons; one that is left alone is not shown."""
    size = item.job.project.answers_per_comparison
    answers = distinct_answers(list(item.completions.order_by("index")))
    # Nothing on the page may follow the order of sampling; the job's seed makes the draw repeatable.
    draw = random.Random(f"{item.seed}:{item.prompt.digest}")  # noqa: S311  (no secret)
    draw.shuffle(answers)
    hands = [answers[start : start + size] for start in range(0, len(answers), size)]
    return [_make(item, hand, draw.randrange(LARGEST_SHUFFLE)) for hand in hands if len(hand) > 1]


def _make(item: SamplingItem, answers: list[list[Completion]], shuffle: int) -> Comparison:
    comparison = Comparison.objects.create(
        project=item.job.project,
        prompt=item.prompt,
        context=answers[0][0].context,
        item=item,
        slots=len(answers),
        shuffle=shuffle,
    )
    Slot.objects.bulk_create(
        [
            Slot(comparison=comparison, number=number, completion=completion)
            for number, same in enumerate(answers)
            for completion in same
        ]
    )
    return comparison
