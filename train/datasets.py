"""Freezing judgements into a dataset, and reading it as preference pairs."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max, Prefetch, QuerySet, TextField
from django.db.models.functions import Cast, Now

from annotate.models import Comparison, Exclusion, Revision, Slot
from generation.models import Completion
from jobs.files import whole_file
from jobs.models import Job
from projects.models import Project, Prompt
from train.counting import Counted, Decided, Lost, Said, Scope, count_all, decided
from train.engine.groups import Ranking
from train.models import Dataset, Round
from train.rules import Rule, Since

PARTS = (Prompt.Side.TRAIN, Prompt.Side.HELD_OUT)
BATCH = 500
USUAL = Rule()
MIX, PRIME = 742_938_285, 2**31 - 1  # one step of Fishman and Moore's generator: it breaks up what comes by turns


class NothingToTrainOn(ValueError):
    """There is no preference pair. The text says what to do."""


class NoSuchDataset(ValueError):
    """A project has no frozen dataset of that number. The text says which there are."""


class DatasetGone(ValueError):
    """A frozen dataset's file is not there any more."""


def by_now(project: Project, rule: Rule) -> Dataset:
    """Return a dataset, not stored and without a number, of what the rule takes of all that is judged by now.

    Raises:
        NothingToTrainOn: the rule begins with the last round, and there is none.
    """
    after = 0
    if rule.since == Since.ROUND:
        last = last_round(project)
        if last is None:
            raise NothingToTrainOn(f"{project} has no round yet to count from. Take what was judged since it began.")
        after = last.dataset.as_of
    return Dataset(project=project, as_of=newest_revision(project), rule=rule.as_json(), after=after)


def newest_revision(project: Project) -> int:
    newest: int | None = Revision.objects.filter(project=project).aggregate(pk=Max("pk"))["pk"]
    return newest or 0


def last_round(project: Project) -> Round | None:
    """Return the last round that used its dataset up: one that failed or was cancelled has not."""
    ended_badly = [Job.Status.FAILED, Job.Status.CANCELLED]
    rounds = project.rounds.exclude(status__in=ended_badly).select_related("dataset")
    return rounds.order_by("-number").first()


def numbered_dataset(project: Project, user: User | None = None, rule: Rule = USUAL) -> Dataset:
    """Return the newest dataset of the rule if it holds what the rule takes now, else a new one, not frozen yet.

    What counts is found before the project is locked, which is for a moment only.

    Raises:
        NothingToTrainOn: the rule finds no pair of a training prompt's answers.
    """
    wanted = by_now(project, rule)
    same = project.datasets.filter(rule=wanted.rule, after=wanted.after).order_by("-number")
    known = same.first()
    check_trainable(wanted)
    if known and revisions_in(known) == revisions_in(wanted):
        return known
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers are given out one at a time
        # Asked twice at once, it is one dataset.
        made = same.filter(as_of=wanted.as_of, number__gt=known.number if known else 0).first()
        return made or _numbered(wanted, user)


def _numbered(dataset: Dataset, user: User | None) -> Dataset:
    number = dataset.project.datasets.aggregate(most=Max("number"))["most"] or 0
    dataset.number, dataset.created_by = number + 1, user
    dataset.save()
    dataset.refresh_from_db()
    return dataset


def check_trainable(dataset: Dataset) -> None:
    """Raise NothingToTrainOn unless somebody has preferred an answer to another. Even votes do train."""
    found = counted_in(dataset, Prompt.Side.TRAIN)
    if any(counted.rankings and counted.lost != Lost.TIES for counted in found):
        return
    if dataset.made_by == USUAL:
        raise NothingToTrainOn(
            f"{dataset.project} has no preference pair to train on. "
            "Judge some answers to prompts that are not held out first."
        )
    raise NothingToTrainOn(
        f"{dataset.project} has no preference pair to train on by this rule: {dataset.made_by} "
        "Choose a rule that takes more, or judge more answers."
    )


def current_dataset(project: Project, user: User | None = None, rule: Rule = USUAL) -> Dataset:
    """Return the dataset of what the rule takes by now, frozen.

    Raises:
        NothingToTrainOn: see `numbered_dataset`.
    """
    dataset = numbered_dataset(project, user, rule)
    freeze(dataset)
    return dataset


def frozen_dataset(project: Project, number: int) -> Dataset:
    """Return a dataset by its number.

    Raises:
        NoSuchDataset: there is none, or it is not frozen yet.
    """
    dataset: Dataset | None = project.datasets.filter(number=number).first()
    if dataset is None:
        known = ", ".join(map(str, project.datasets.order_by("number").values_list("number", flat=True))) or "none yet"
        raise NoSuchDataset(f"{project} has no dataset {number}. Known: {known}.")
    if not dataset.frozen_at:
        raise NoSuchDataset(f"Dataset {number} is not frozen yet: its round does that when it starts.")
    return dataset


def revisions_in(dataset: Dataset) -> list[int]:
    """Return the ids of the revisions that a dataset holds, or would hold, in order."""
    if dataset.frozen_at:
        return list(dataset.revisions.order_by("pk").values_list("pk", flat=True))
    found = (counted for part in PARTS for counted in counted_in(dataset, part) if counted.rankings)
    return sorted(said.revision for counted in found for said in counted.said)


# ---- What counts


def counted_in(dataset: Dataset, part: str, one_in: int = 1) -> Iterator[Counted]:
    """Yield what each comparison of a part that was judged gives to a dataset, stored or not.

    The cost is that of reading every revision of the part once, or of one prompt in so many; memory holds those of
    so many prompts at a time.
    """
    prompts = Prompt.objects.filter(project=dataset.project, side=part)
    if one_in > 1:
        prompts = prompts.annotate(place=F("pk") * MIX % PRIME % one_in).filter(place=0)
    scope = scope_of(dataset)
    for said in pages_of_said(prompts, dataset.as_of):
        written = slots_of(scope.rule.policies, {one.comparison for one in said})
        yield from count_all(said, replace(scope, written=written))


def pages_of_said(prompts: "QuerySet[Prompt]", as_of: int) -> Iterator[list[Said]]:
    """Yield all that was said of answers to these prompts up to a revision, by prompt, comparison and age.

    It comes some prompts at a time: no read stays open in which others' writes could come between.
    """
    last = 0
    while page := list(prompts.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        last = page[-1]
        # The prompts are of one project: naming it here would make SQLite read all that was said in it.
        said = Revision.objects.filter(judgement__comparison__prompt__in=page, pk__lte=as_of)
        yield list(read_revisions(said.filter(judgement__comparison__purpose=Comparison.Purpose.TRAIN)))


def read_revisions(revisions: "QuerySet[Revision]") -> Iterator[Said]:
    """Yield revisions as rows, by prompt, comparison and age. One query."""
    rows = revisions.annotate(
        tiers_text=Cast("tiers", TextField()), unordered_text=Cast("unordered", TextField())
    ).values_list(
        "pk",
        "judgement",
        "judgement__comparison",
        "judgement__comparison__prompt",
        "judgement__comparison__prompt__side",
        "judgement__comparison__slots",
        "person",
        "kind",
        "tiers_text",
        "unordered_text",
        "strength",
        "edit",
        "judgement__settles",
        "submitted_at",
    )
    for row in rows.order_by("judgement__comparison__prompt", "judgement__comparison", "pk"):
        yield Said._make((*row[:8], _tuples(row[8]), _tuples(row[9]), *row[10:]))


@lru_cache(maxsize=10_000)
def _tuples(text: str) -> tuple[Any, ...]:
    """Read a list, or a list of lists, that is stored as JSON. The same few are read again and again."""
    return tuple(tuple(one) if isinstance(one, list) else one for one in json.loads(text))


def scope_of(dataset: Dataset) -> Scope:
    """Return a dataset's rule with what it means at the moment the dataset was made; one that is not stored: now."""
    exclusions = Exclusion.objects.filter(project=dataset.project)
    left_out = left_out_at(exclusions, dataset.created_at if dataset.pk else None)
    return Scope(dataset.made_by, dataset.as_of, dataset.after, left_out)


def left_out_at(exclusions: Iterable[Exclusion], moment: datetime | None) -> dict[int, datetime]:
    """Return who is left out at a moment, or now, with the moment from which on their votes are."""

    def held(one: Exclusion) -> bool:
        if moment is None:
            return one.lifted_at is None
        return one.created_at <= moment and (one.lifted_at is None or one.lifted_at > moment)

    return {one.person_id: one.since for one in exclusions if held(one)}


def slots_of(policies: Sequence[int], comparisons: Collection[int]) -> dict[int, frozenset[int]] | None:
    """Return, by comparison, the slots whose answers these policies wrote; None where no policies are named."""
    if not policies:
        return None
    # Who wrote is asked of each slot here: SQLite would begin with all that the policies ever wrote.
    slots = Slot.objects.filter(comparison__in=comparisons).values_list("comparison", "number", "completion__policy")
    found: defaultdict[int, set[int]] = defaultdict(set)
    for comparison, number, policy in slots:
        if policy in policies:
            found[comparison].add(number)
    return {comparison: frozenset(numbers) for comparison, numbers in found.items()}


# ---- Files


def folder(dataset: Dataset) -> Path:
    return settings.WINNOW_HOME / "datasets" / f"{dataset.project_id}-{dataset.number}"


def part_file(dataset: Dataset, part: str) -> Path:
    return folder(dataset) / f"{part}.jsonl"


def freeze(dataset: Dataset, tick: Callable[[int], None] = lambda done: None) -> None:
    """Write the dataset's files and its row. Doing it again, or twice at once, gives the same bytes.

    `tick` is called every so many groups, with how many are written.
    """
    if dataset.frozen_at:
        return
    values: dict[str, Any] = {}
    done = 0
    for part in PARTS:
        groups_written, pairs, digest = 0, 0, hashlib.sha256()
        with whole_file(part_file(dataset, part)) as file:
            for batch in batches(counted_in(dataset, part)):
                for group in groups(batch):
                    line = json.dumps(group, ensure_ascii=False) + "\n"
                    file.write(line)
                    digest.update(line.encode())
                groups_written += len(batch)
                pairs += sum(len(counted.pairs) for counted in batch)
                _list_revisions(dataset, batch)
                done += len(batch)
                tick(done)
        values |= {f"{part}_groups": groups_written, f"{part}_pairs": pairs, f"{part}_sha256": digest.hexdigest()}
    Dataset.objects.filter(pk=dataset.pk, frozen_at=None).update(frozen_at=Now(), **values)
    dataset.refresh_from_db()


def _list_revisions(dataset: Dataset, batch: list[Counted]) -> None:
    """Note which revisions the dataset came from, in transactions of a few milliseconds."""
    ids = [said.revision for counted in batch for said in counted.said]
    for start in range(0, len(ids), BATCH):
        dataset.revisions.add(*ids[start : start + BATCH])


def batches(found: Iterable[Counted]) -> Iterator[list[Counted]]:
    """Yield what goes into a file, so many comparisons at a time."""
    kept = (counted for counted in found if counted.rankings)
    while batch := list(islice(kept, BATCH)):
        yield batch


def groups(batch: list[Counted]) -> Iterator[dict[str, Any]]:
    """Yield the preference groups of some comparisons, one each, in the trainer's format."""
    comparisons = Comparison.objects.select_related("prompt", "context").prefetch_related(
        Prefetch("answers", Slot.objects.select_related("completion__context").order_by("-pk"))
    )
    known = comparisons.in_bulk([counted.comparison for counted in batch])
    edits = Completion.objects.select_related("context").in_bulk([pk for counted in batch for pk in counted.edits])
    for counted in batch:
        yield _group(known[counted.comparison], counted, [edits[pk] for pk in counted.edits])


def _group(comparison: Comparison, counted: Counted, edits: list[Completion]) -> dict[str, Any]:
    answers = {slot.number: slot.completion for slot in comparison.answers.all()}
    group: dict[str, Any] = {
        "comparison": comparison.pk,
        "prompt_id": comparison.prompt.external_id or comparison.prompt.digest,
        "prompt": comparison.prompt.messages,
        "completions": [_completion(answers[number]) for number in range(comparison.slots)]
        + [_completion(edit) for edit in edits],
        "rankings": [
            _ranking(ranking, revision) for ranking, revision in zip(counted.rankings, counted.revisions, strict=True)
        ],
    }
    if comparison.context:
        group["prompt_token_ids"] = comparison.context.token_ids
        group["tokenizer"] = comparison.context.tokenizer_fingerprint
    return group


def _ranking(ranking: Ranking, revision: int | None) -> dict[str, Any]:
    """Write a ranking, with the revision it is of where it is one person's."""
    said: dict[str, Any] = {
        "tiers": [list(tier) for tier in ranking.tiers],
        "unordered": sorted(ranking.unordered),
        "weight": int(ranking.weight),
    }
    return said | ({"revision": revision} if revision else {})


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


def pairs_in(group: dict[str, Any]) -> tuple[Decided, ...]:
    """Return each pair of a line's answers that more people decided one way than the other."""
    return decided(
        tuple(
            Ranking(tuple(map(tuple, said["tiers"])), frozenset(said["unordered"]), said["weight"])
            for said in group["rankings"]
        )
    )


def trl_lines(lines: Iterable[str]) -> Iterator[str]:
    """Turn the lines of a part into TRL's conversational preference format, a pair a line."""
    for line in lines:
        group = json.loads(line)
        for chosen, rejected, _ in pairs_in(group):
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
