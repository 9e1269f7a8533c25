"""What has changed since a dataset was made: how stale it is."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby

from django.db.models import Q

from annotate.models import Comparison, Exclusion, Revision
from projects.models import Project
from train.counting import Counted, Said, Scope, count_comparison
from train.datasets import BATCH, left_out_at, newest_revision, read_revisions, slots_of
from train.models import Dataset


def changes_since(project: Project, datasets: Sequence[Dataset]) -> dict[int, int]:
    """Return, by the id of a frozen dataset, in how many comparisons it holds something else than people say now.

    That is what was revised, taken back or settled since, and the judgements of those left out, or let in again.
    What others judged since is new, and changes nothing. Read are the comparisons touched since alone, in five
    queries at most, and one for each choice of policies.
    """
    frozen = [dataset for dataset in datasets if dataset.frozen_at]
    if not frozen:
        return {}
    exclusions = list(Exclusion.objects.filter(project=project))
    touched = _touched(project, frozen, exclusions)
    said = _said(sorted(set().union(*touched.values())))
    newest = newest_revision(project)
    changes = {}
    for dataset in frozen:
        then = _scope(dataset, exclusions, touched[dataset.pk])
        now = replace(then, as_of=newest, left_out=left_out_at(exclusions, None))
        changes[dataset.pk] = sum(_differs(said[pk], then, now) for pk in touched[dataset.pk])
    return changes


def _touched(project: Project, datasets: Sequence[Dataset], exclusions: list[Exclusion]) -> dict[int, set[int]]:
    """Return, by dataset, the comparisons in which something may have changed since."""
    known = Revision.objects.filter(project=project, judgement__comparison__purpose=Comparison.Purpose.TRAIN)
    oldest = min(dataset.as_of for dataset in datasets)
    anew = known.filter(Q(number__gt=1) | Q(judgement__settles=True), pk__gt=oldest)
    said_anew = list(anew.values_list("pk", "judgement__comparison"))
    people = {dataset.pk: _let_in_or_out(dataset, exclusions) for dataset in datasets}
    judged = defaultdict(set)
    for person, comparison in known.filter(person__in=set().union(*people.values())).values_list(
        "person", "judgement__comparison"
    ):
        judged[person].add(comparison)
    return {
        dataset.pk: {comparison for pk, comparison in said_anew if pk > dataset.as_of}.union(
            *(judged[person] for person in people[dataset.pk])
        )
        for dataset in datasets
    }


def _let_in_or_out(dataset: Dataset, exclusions: list[Exclusion]) -> set[int]:
    """Return the people whose exclusion began or ended after the dataset was made."""
    then, now = (left_out_at(exclusions, moment) for moment in (dataset.created_at, None))
    return {person for person in then.keys() | now.keys() if then.get(person) != now.get(person)}


def _said(comparisons: Sequence[int]) -> dict[int, list[Said]]:
    """Return all that was said of these comparisons, by comparison."""
    said = {}
    for start in range(0, len(comparisons), BATCH):
        revisions = Revision.objects.filter(judgement__comparison__in=comparisons[start : start + BATCH])
        for pk, rows in groupby(read_revisions(revisions), key=lambda one: one.comparison):
            said[pk] = list(rows)
    return said


def _scope(dataset: Dataset, exclusions: list[Exclusion], comparisons: Collection[int]) -> Scope:
    """Return the dataset's scope; the most for a prompt is set aside, as it says nothing of one comparison."""
    rule = replace(dataset.made_by, pairs_per_prompt=None)
    left_out = left_out_at(exclusions, dataset.created_at)
    return Scope(rule, dataset.as_of, dataset.after, left_out, slots_of(rule.policies, comparisons))


def _differs(rows: list[Said], then: Scope, now: Scope) -> bool:
    """Whether what was said up to then would count otherwise now."""
    before, after = (_held(count_comparison(rows, scope)) for scope in (then, now))
    return before != {revision for revision in after if revision <= then.as_of}


def _held(counted: Counted | None) -> set[int]:
    return {said.revision for said in counted.said} if counted and counted.rankings else set()
