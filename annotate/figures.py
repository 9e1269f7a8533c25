"""The figures of the page “Numbers”: agreement, what sways a choice, the time it takes. docs/numbers.md explains them.

What computes them needs numpy and statsmodels, a second to import and 150 MB: only who asks for the figures pays that.
"""

import hashlib
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db.models.functions import Now

from annotate.estimates import Estimate
from annotate.models import Exclusion, Revision
from annotate.reliability import Checked, gold_agreement, self_consistency, share
from projects.models import Project

if TYPE_CHECKING:
    from annotate.agreement import Agreement
    from annotate.bias import LengthSway
    from annotate.votes import Said, Votes

CACHED_FOR = 24 * 3600  # seconds
Kind = Revision.Kind
JUDGED = (Kind.RANKED, Kind.BOTH_BAD)


@dataclass(frozen=True)
class Times:
    """Quartiles of the seconds that judgements took."""

    judgements: int
    measured: bool  # by the page, while in sight; else the time from opening to submitting, pauses included
    lower_quartile: float | None = None
    median: float | None = None
    upper_quartile: float | None = None


@dataclass(frozen=True)
class Person:
    person: int
    judged: int
    first_shown_wins: Estimate
    tie_share: float | None  # of the pairs they compared
    gold_agreement: Checked  # they put the same first as the admins
    self_consistency: Checked  # they put the same first as when they judged it before
    time: Times


@dataclass(frozen=True)
class TwoPeople:
    person: int
    other: int
    agreement: "Agreement"


@dataclass(frozen=True)
class Week:
    monday: date
    agreement: "Agreement"


@dataclass(frozen=True)
class Numbers:
    as_of: int  # the newest revision they were computed from
    judgements: int
    left_out: int  # judgements of excluded people
    kinds: dict[str, int]  # how many judgements are a ranking, all bad, a skip, a flag
    pairs_compared: int  # by one person each time
    ties: int  # of these
    agreement: "Agreement"
    two_people: list[TwoPeople]
    weeks: list[Week]
    first_shown_wins: Estimate
    pairs_decided: int
    length: "LengthSway"
    time: Times
    people: list[Person]


def numbers_of(project: Project) -> Numbers:
    """Return the project's numbers; those computed from the same judgements are kept for a day. Two queries then."""
    newest = Revision.objects.filter(project=project).order_by("-id").values_list("pk", flat=True).first() or 0
    left_out = Exclusion.objects.at(Now()).filter(project=project).order_by("pk").values_list("pk", "since")
    excluded = hashlib.sha256(repr(list(left_out)).encode()).hexdigest()[:16]
    key = f"numbers-{project.pk}-{newest}-{excluded}"
    known: Numbers | None = cache.get(key)
    if known is None:
        known = compute(project, newest)
        cache.set(key, known, CACHED_FOR)
    return known


def compute(project: Project, as_of: int) -> Numbers:
    from annotate.agreement import agreement, by_two_people, by_week, count_values, meetings_of
    from annotate.bias import first_shown_wins, length_sway
    from annotate.votes import read_judgements, votes_of

    judgements, left_out = read_judgements(project)
    votes = votes_of(project, judgements)
    meetings = meetings_of(votes)
    counted = Counter(one.kind for one in judgements)
    return Numbers(
        as_of=as_of,
        judgements=len(judgements),
        left_out=left_out,
        kinds={str(kind): counted[kind] for kind in Kind if kind != Kind.WITHDRAWN},
        pairs_compared=len(votes.value),
        ties=int((votes.value == 0).sum()),
        agreement=agreement(meetings, count_values(votes)),
        two_people=[TwoPeople(*found) for found in by_two_people(meetings)],
        weeks=[Week(*found) for found in by_week(votes, meetings)],
        first_shown_wins=first_shown_wins(votes.prompt, votes.first_wins),
        pairs_decided=int((votes.value != 0).sum()),
        length=length_sway(votes),
        time=times(judgements),
        people=_people(project, judgements, votes),
    )


def _people(project: Project, judgements: "list[Said]", votes: "Votes") -> list[Person]:
    from annotate.bias import first_shown_wins

    unchecked = Checked(0, 0, share(0, 0))
    gold, again = gold_agreement(project), self_consistency(project)
    theirs: dict[int, list[Said]] = {person: [] for person in gold | again}
    for one in judgements:
        theirs.setdefault(one.person, []).append(one)
    people = []
    for person, said in sorted(theirs.items()):
        mine = votes[votes.person == person]
        people.append(
            Person(
                person=person,
                judged=sum(one.kind in JUDGED for one in said),
                first_shown_wins=first_shown_wins(mine.prompt, mine.first_wins),
                tie_share=float((mine.value == 0).mean()) if len(mine.value) else None,
                gold_agreement=gold.get(person, unchecked),
                self_consistency=again.get(person, unchecked),
                time=times(said),
            )
        )
    return people


def times(judgements: "Iterable[Said]") -> Times:
    """Return the quartiles of what the page measured, or of the time since it was opened where it measured none."""
    judged = [one for one in judgements if one.kind in JUDGED]
    seconds = [one.seconds for one in judged if one.seconds is not None]
    measured = bool(seconds)
    if not measured:
        seconds = [(one.submitted_at - one.opened_at).total_seconds() for one in judged if one.opened_at is not None]
    if not seconds:
        return Times(0, measured)
    if len(seconds) == 1:
        return Times(1, measured, *(seconds * 3))
    return Times(len(seconds), measured, *statistics.quantiles(seconds, method="inclusive"))


def as_json(value: Any, names: Mapping[int, str]) -> Any:
    """Return the numbers as JSON holds them, unrounded: an estimate with its interval, people by name."""
    if isinstance(value, Estimate):
        interval = [value.low, value.high] if value.has_interval else None
        return {"value": value.value, "interval": interval, "missing": value.missing}
    if is_dataclass(value):
        plain = {field.name: as_json(getattr(value, field.name), names) for field in fields(value)}
        return plain | {key: names[plain[key]] for key in ("person", "other") if key in plain}
    if isinstance(value, list):
        return [as_json(one, names) for one in value]
    return value.isoformat() if isinstance(value, date) else value
