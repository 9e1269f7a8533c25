"""Freezing judgements into a dataset, and reading it as preference pairs."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from annotate.judging import Choice, pairs_of
from annotate.models import Comparison, Revision
from generation.models import Completion
from jobs.files import whole_file
from projects.models import Project, Prompt
from train.models import Dataset

PARTS = (Prompt.Side.TRAIN, Prompt.Side.HELD_OUT)
BATCH = 500


class NothingToTrainOn(ValueError):
    """There is no preference pair. The text says what to do."""


class DatasetGone(ValueError):
    """A frozen dataset's file is not there any more."""


@dataclass
class PartCount:
    """What one part of a dataset holds."""

    groups: int = 0
    pairs: int = 0


def counted_revisions(project: Project, as_of: int) -> "QuerySet[Revision]":
    """Return the rankings that counted when revision `as_of` was the newest: the last of each judgement's chain."""
    known = Revision.objects.filter(pk__lte=as_of)
    newest = known.filter(judgement=OuterRef("judgement")).order_by("-pk").values("pk")[:1]
    of_project = known.filter(
        judgement__comparison__project=project, judgement__comparison__purpose=Comparison.Purpose.TRAIN
    )
    return of_project.filter(pk=Subquery(newest), kind=Revision.Kind.RANKED)


def newest_revision(project: Project) -> int:
    newest: int | None = Revision.objects.filter(judgement__comparison__project=project).aggregate(pk=Max("pk"))["pk"]
    return newest or 0


def newest_dataset(project: Project) -> Dataset | None:
    """Return the newest dataset if it holds just what counts now: a skip, for one, changes nothing."""
    newest = project.datasets.order_by("-number").first()
    if newest is None:
        return None
    then, now = (
        list(counted_revisions(project, as_of).order_by("pk").values_list("pk", flat=True))
        for as_of in (newest.as_of, newest_revision(project))
    )
    return newest if then == now else None


@transaction.atomic
def numbered_dataset(project: Project, user: User | None = None) -> Dataset:
    """Return the newest dataset if nothing that counts was judged since, else a new one, not frozen yet.

    Raises:
        NothingToTrainOn: no judgement of a training prompt prefers one answer to another.
    """
    Project.objects.select_for_update().get(pk=project.pk)  # asked twice at once, it is one dataset
    return newest_dataset(project) or new_dataset(project, user)


@transaction.atomic
def new_dataset(project: Project, user: User | None = None) -> Dataset:
    """Number a dataset of all that is judged by now. `freeze` writes it.

    Raises:
        NothingToTrainOn: no judgement of a training prompt prefers one answer to another.
    """
    Project.objects.select_for_update().get(pk=project.pk)  # numbers are given out one at a time
    as_of = newest_revision(project)
    trainable = counted_revisions(project, as_of).filter(pairs__prompt__side=Prompt.Side.TRAIN)
    if not trainable.exists():
        raise NothingToTrainOn(
            f"{project} has no preference pair to train on. Judge some answers to prompts that are not held out first."
        )
    number = project.datasets.aggregate(most=Max("number"))["most"] or 0
    return Dataset.objects.create(project=project, number=number + 1, as_of=as_of, created_by=user)


def current_dataset(project: Project, user: User | None = None) -> Dataset:
    """Return the dataset of all that is judged by now, frozen.

    Raises:
        NothingToTrainOn: see `numbered_dataset`.
    """
    dataset = numbered_dataset(project, user)
    freeze(dataset)
    return dataset


def folder(dataset: Dataset) -> Path:
    return settings.WINNOW_HOME / "datasets" / f"{dataset.project_id}-{dataset.number}"


def part_file(dataset: Dataset, part: str) -> Path:
    return folder(dataset) / f"{part}.jsonl"


def freeze(dataset: Dataset, tick: Callable[[], None] = lambda: None) -> None:
    """Write the dataset's files and its row. Doing it again, or twice at once, gives the same bytes.

    `tick` is called every so many groups.
    """
    if dataset.frozen_at:
        return
    values: dict[str, Any] = {}
    for part in PARTS:
        count, digest = PartCount(), hashlib.sha256()
        with whole_file(part_file(dataset, part)) as file:
            for group in groups(dataset, part):
                line = json.dumps(group, ensure_ascii=False) + "\n"
                file.write(line)
                digest.update(line.encode())
                count.groups += 1
                if count.groups % BATCH == 0:
                    tick()
                count.pairs += len(decided(group))
        values |= {f"{part}_groups": count.groups, f"{part}_pairs": count.pairs, f"{part}_sha256": digest.hexdigest()}
    _list_revisions(dataset)
    Dataset.objects.filter(pk=dataset.pk, frozen_at=None).update(frozen_at=Now(), **values)
    dataset.refresh_from_db()


def _list_revisions(dataset: Dataset) -> None:
    """Note which revisions the dataset came from, in transactions of a few milliseconds."""
    ids = list(counted_revisions(dataset.project, dataset.as_of).values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        dataset.revisions.add(*ids[start : start + BATCH])


def groups(dataset: Dataset, part: str) -> Iterator[dict[str, Any]]:
    """Yield the preference groups of a part: one comparison each, in the trainer's format."""
    revisions = (
        counted_revisions(dataset.project, dataset.as_of)
        .filter(judgement__comparison__prompt__side=part)
        .order_by("judgement__comparison", "pk")
        .select_related("judgement")
    )
    by_comparison = groupby(revisions.iterator(BATCH), key=lambda revision: revision.judgement.comparison_id)
    for comparison_id, rankings in by_comparison:
        yield _group(comparison_id, list(rankings))


def _group(comparison_id: int, rankings: list[Revision]) -> dict[str, Any]:
    comparison = Comparison.objects.select_related("prompt", "context").get(pk=comparison_id)
    answers = {
        slot.number: slot.completion
        for slot in comparison.answers.select_related("completion__context").order_by("-pk")
    }
    group: dict[str, Any] = {
        "comparison": comparison_id,
        "prompt_id": comparison.prompt.external_id or comparison.prompt.digest,
        "prompt": comparison.prompt.messages,
        "completions": [
            {
                "id": answers[number].pk,
                "text": answers[number].text,
                "token_ids": answers[number].token_ids,
                "tokenizer": _tokenizer(answers[number]),
                "finish_reason": answers[number].finish_reason,
            }
            for number in range(comparison.slots)
        ],
        "rankings": [
            {"tiers": ranking.tiers, "unordered": ranking.unordered, "weight": 1, "revision": ranking.pk}
            for ranking in rankings
        ],
    }
    if comparison.context:
        group["prompt_token_ids"] = comparison.context.token_ids
        group["tokenizer"] = comparison.context.tokenizer_fingerprint
    return group


def _tokenizer(completion: Completion) -> str | None:
    return completion.context.tokenizer_fingerprint if completion.context else None


def decided(group: dict[str, Any]) -> list[tuple[int, int]]:
    """Return (chosen, rejected) for each pair of a group's answers that more people decided one way than the other."""
    votes: Counter[tuple[int, int]] = Counter()
    for ranking in group["rankings"]:
        votes.update(pairs_of(Choice(Revision.Kind.RANKED, tuple(map(tuple, ranking["tiers"])))))
    return [(better, worse) for (better, worse), count in votes.items() if count > votes[worse, better]]


def trl_lines(lines: Iterable[str]) -> Iterator[str]:
    """Turn the lines of a part into TRL's conversational preference format, a pair a line."""
    for line in lines:
        group = json.loads(line)
        for chosen, rejected in decided(group):
            row = {
                "prompt": group["prompt"],
                "chosen": [{"role": "assistant", "content": group["completions"][chosen]["text"]}],
                "rejected": [{"role": "assistant", "content": group["completions"][rejected]["text"]}],
            }
            yield json.dumps(row, ensure_ascii=False) + "\n"


def export(dataset: Dataset, part: str) -> Iterator[str]:
    """Yield a frozen part as JSONL that `datasets` and TRL load unchanged.

    Raises:
        DatasetGone: somebody removed its file.
    """
    try:
        file = part_file(dataset, part).open(encoding="utf-8")
    except FileNotFoundError as error:
        raise DatasetGone(f"The file of {dataset} is gone from the data folder.") from error
    with file:
        yield from trl_lines(file)
