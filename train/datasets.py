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
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from annotate.judging import Choice, pairs_of
from annotate.models import Comparison, Revision, excluded
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


def counted_revisions(dataset: Dataset) -> "QuerySet[Revision]":
    """Return the rankings that count in a dataset: each judgement's last one when revision `as_of` was the newest.

    Who found all answers bad and wrote a better one has ranked: the own answer over the others.
    A settlement that stood then wins over the votes on its comparison, unless the dataset leaves settlements aside.
    Votes of people who were left out when the dataset was made are none.
    """
    ranks = Q(kind=Revision.Kind.RANKED) | Q(kind=Revision.Kind.BOTH_BAD, edit__isnull=False)
    known = Revision.objects.filter(project=dataset.project, pk__lte=dataset.as_of)
    newest = known.filter(judgement=OuterRef("judgement")).order_by("-pk").values("pk")[:1]
    last = known.filter(pk=Subquery(newest), judgement__comparison__purpose=Comparison.Purpose.TRAIN)
    votes = last.filter(judgement__settles=False).exclude(excluded(dataset.created_at, ""))
    if dataset.settlements == Dataset.Settlements.ASIDE:
        return votes.filter(ranks)
    settling = last.filter(judgement__settles=True).exclude(kind=Revision.Kind.WITHDRAWN)
    settled = settling.values("judgement__comparison")
    counting = Q(pk__in=settling.values("pk")) | Q(pk__in=votes.exclude(judgement__comparison__in=settled).values("pk"))
    return known.filter(counting, ranks)


def newest_revision(project: Project) -> int:
    newest: int | None = Revision.objects.filter(project=project).aggregate(pk=Max("pk"))["pk"]
    return newest or 0


def newest_dataset(project: Project, settlements: str) -> Dataset | None:
    """Return the newest dataset if it holds just what counts now: a skip, for one, changes nothing."""
    newest = project.datasets.filter(settlements=settlements).order_by("-number").first()
    if newest is None:
        return None
    then, now = (
        list(counted_revisions(dataset).order_by("pk").values_list("pk", flat=True))
        for dataset in (newest, all_by_now(project, settlements))
    )
    return newest if then == now else None


def all_by_now(project: Project, settlements: str) -> Dataset:
    """Return a dataset, not stored and without a number, of all that counts now."""
    return Dataset(project=project, as_of=newest_revision(project), settlements=settlements, created_at=Now())


@transaction.atomic
def numbered_dataset(project: Project, user: User | None = None, settlements: str = Dataset.Settlements.WIN) -> Dataset:
    """Return the newest dataset if nothing that counts was judged since, else a new one, not frozen yet.

    Raises:
        NothingToTrainOn: no judgement of a training prompt prefers one answer to another.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # asked twice at once, it is one dataset
    return newest_dataset(project, settlements) or new_dataset(project, user, settlements)


@transaction.atomic
def new_dataset(project: Project, user: User | None = None, settlements: str = Dataset.Settlements.WIN) -> Dataset:
    """Number a dataset of all that is judged by now. `freeze` writes it.

    Raises:
        NothingToTrainOn: no judgement of a training prompt prefers one answer to another.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers are given out one at a time
    dataset = all_by_now(project, settlements)
    trainable = counted_revisions(dataset).filter(pairs__prompt__side=Prompt.Side.TRAIN)
    if not trainable.exists():
        raise NothingToTrainOn(
            f"{project} has no preference pair to train on. Judge some answers to prompts that are not held out first."
        )
    number = project.datasets.aggregate(most=Max("number"))["most"] or 0
    dataset.number, dataset.created_by = number + 1, user
    dataset.save()
    dataset.refresh_from_db()
    return dataset


def current_dataset(project: Project, user: User | None = None, settlements: str = Dataset.Settlements.WIN) -> Dataset:
    """Return the dataset of all that is judged by now, frozen.

    Raises:
        NothingToTrainOn: see `numbered_dataset`.
    """
    dataset = numbered_dataset(project, user, settlements)
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
    ids = list(counted_revisions(dataset).values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        dataset.revisions.add(*ids[start : start + BATCH])


def groups(dataset: Dataset, part: str) -> Iterator[dict[str, Any]]:
    """Yield the preference groups of a part: one comparison each, in the trainer's format."""
    revisions = (
        counted_revisions(dataset)
        .filter(judgement__comparison__prompt__side=part)
        .order_by("judgement__comparison", "pk")
        .select_related("judgement", "edit__context")
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
        "completions": [_completion(answers[number]) for number in range(comparison.slots)],
        "rankings": [],
    }
    for ranking in rankings:
        tiers, unordered = ranking.tiers, ranking.unordered
        if ranking.edit:
            tiers, unordered = tiers_with_edit(ranking, len(group["completions"]), comparison.slots)
            group["completions"].append(_completion(ranking.edit))
        group["rankings"].append({"tiers": tiers, "unordered": unordered, "weight": 1, "revision": ranking.pk})
    if comparison.context:
        group["prompt_token_ids"] = comparison.context.token_ids
        group["tokenizer"] = comparison.context.tokenizer_fingerprint
    return group


def tiers_with_edit(revision: Revision, place: int, slots: int) -> tuple[list[list[int]], list[int]]:
    """Return tiers and unordered tiers with the person's own answer, the completion at `place`, above all others."""
    if revision.kind == Revision.Kind.RANKED:
        return [[place], *revision.tiers], [index + 1 for index in revision.unordered]
    return [[place], list(range(slots))], [1]  # all bad, and not compared with each other


def _completion(completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.pk,
        "text": completion.text,
        "token_ids": completion.token_ids,
        "tokenizer": _tokenizer(completion),
        "finish_reason": completion.finish_reason,
    }


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
