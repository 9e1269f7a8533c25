"""How far each person says what the admins say of gold comparisons, and the same again of what they judged before."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.functions import Now

from annotate.checks import says_the_same
from annotate.estimates import CONFIDENCE, Estimate
from annotate.models import COUNTED, Comparison, Judgement, Revision, excluded
from projects.models import Project

FEWEST_CHECKS = 5  # fewer say nothing of a person


@dataclass(frozen=True)
class Checked:
    """What a person said in checks: of how many, and in how many the same."""

    judged: int
    same: int
    share: Estimate  # with Wilson's interval


def gold_agreement(project: Project) -> dict[int, Checked]:
    """Return, by person, how their votes on gold comparisons compare with the settlements. Two queries."""
    of_project = Judgement.objects.standing_settlements().filter(comparison__project=project)
    gold = Comparison.objects.filter(check_made__isnull=False, purpose=Comparison.Purpose.GOLD)
    settlements = of_project.filter(comparison__in=gold).select_related("current")
    expected = {one.comparison_id: one.current for one in settlements}
    votes = _votes(project).filter(judgement__comparison__in=expected)
    return _checked((vote.person_id, vote, expected[vote.judgement.comparison_id]) for vote in votes)


def self_consistency(project: Project) -> dict[int, Checked]:
    """Return, by person, how what they said of repeats compares with what they said first. Two queries."""
    repeats = _votes(project).filter(judgement__comparison__purpose=Comparison.Purpose.REPEAT)
    again = list(repeats.select_related("judgement__comparison"))
    originals = [vote.judgement.comparison.repeats_id for vote in again]
    first = {
        (vote.person_id, vote.judgement.comparison_id): vote
        for vote in _votes(project).filter(judgement__comparison__in=originals)
    }
    keys = [(vote.person_id, vote.judgement.comparison.repeats_id or 0) for vote in again]
    return _checked((key[0], vote, first[key]) for key, vote in zip(keys, again, strict=True) if key in first)


def _votes(project: Project) -> "QuerySet[Revision]":
    counted = Revision.objects.votes().filter(project=project, kind__in=COUNTED)
    return counted.exclude(excluded(Now(), "")).select_related("judgement")


def _checked(said: Iterable[tuple[int, Revision, Revision | None]]) -> dict[int, Checked]:
    same = defaultdict(list)
    for person, vote, expected in said:
        same[person].append(expected is not None and says_the_same(vote, expected))
    return {person: Checked(len(them), sum(them), share(sum(them), len(them))) for person, them in same.items()}


def share(same: int, judged: int) -> Estimate:
    """Return same / judged with Wilson's interval, or what is missing.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953, as statsmodels has it.
    """
    if judged < FEWEST_CHECKS:
        there_are = "There is 1" if judged == 1 else f"There are {judged or 'none'}"
        return Estimate(missing=f"This needs {FEWEST_CHECKS}. {there_are} so far.")
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(same, judged, alpha=1 - CONFIDENCE, method="wilson")
    return Estimate(same / judged, float(low), float(high))
