"""Recording what people say, and the preference pairs that follow from it."""

import re
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision
from annotate.queue import lease_to, one_at_a_time
from projects.models import Project

Kind = Revision.Kind
COUNTED = (Kind.RANKED, Kind.BOTH_BAD)  # these fill a place of the overlap; a skip leaves it to somebody else


class ChoiceError(ValueError):
    """A choice that does not fit the comparison. The text says what came and what is allowed."""


@dataclass(frozen=True)
class Choice:
    """What a person says: a ranking of slots in tiers, best first, or that nothing can be said."""

    kind: Revision.Kind
    tiers: tuple[tuple[int, ...], ...] = ()
    unordered: tuple[int, ...] = ()  # indexes of tiers whose members were not compared with each other


def best_of(winner: int, slots: int) -> Choice:
    """The winner over each of the others, and nothing among the others."""
    losers = tuple(slot for slot in range(slots) if slot != winner)
    return Choice(Kind.RANKED, ((winner,), losers), (1,) if len(losers) > 1 else ())


def tie(slots: int) -> Choice:
    return Choice(Kind.RANKED, (tuple(range(slots)),))


def read_ranking(line: str, shown: list[int]) -> Choice:
    """Read a ranking such as `3>1=4>2` or `3 1=4 2`, the answers numbered from 1 in the order shown.

    Raises:
        ChoiceError: the line does not place each answer once.
    """
    spelled_out = re.sub(r"(?<=\d)\s*(?=\d)", ">", line)  # there are at most 8 answers: two digits are two of them
    try:
        places = [[int(number) for number in tier.split("=")] for tier in spelled_out.split(">")]
    except ValueError as error:
        raise ChoiceError(f"“{line}” is not a ranking. Write it like 3 > 1 = 2, best first.") from error
    if sorted(number for tier in places for number in tier) != list(range(1, len(shown) + 1)):
        raise ChoiceError(f"“{line}” must place each of the answers 1 to {len(shown)} once.")
    return Choice(Kind.RANKED, tuple(tuple(sorted(shown[number - 1] for number in tier)) for tier in places))


def pairs_of(choice: Choice) -> list[tuple[int, int]]:
    """Return (better slot, worse slot) for each pair that the choice decides."""
    return [
        (better, worse)
        for place, tier in enumerate(choice.tiers)
        for better in tier
        for lower in choice.tiers[place + 1 :]
        for worse in lower
    ]


@transaction.atomic
def record(
    person: User,
    comparison: Comparison,
    choice: Choice,
    *,
    shown: list[int],
    client_key: str,
    opened_at: datetime | None = None,
) -> Revision:
    """Store what a person says of a comparison, with the pairs it implies. The same submit twice counts once.

    A submit whose lease has ended is kept all the same and marked late, unless it replaces one that counted.
    """
    # The row's lock: two submits for one comparison take turns.
    locked = Comparison.objects.select_for_update(of=("self",)).select_related("project")
    comparison = locked.get(pk=comparison.pk)
    if known := Revision.objects.filter(person=person, client_key=client_key).first():
        return known
    lease = Lease.objects.filter(comparison=comparison, person=person, expires_at__gt=Now()).first()
    judgement, _ = Judgement.objects.get_or_create(comparison=comparison, person=person)
    before = judgement.current
    revision = Revision.objects.create(
        judgement=judgement,
        person=person,
        number=before.number + 1 if before else 1,
        kind=choice.kind,
        tiers=[list(tier) for tier in choice.tiers],
        unordered=list(choice.unordered),
        shown=shown,
        guidelines=comparison.project.guidelines(),
        opened_at=opened_at or (lease.opened_at if lease else None),
        late=lease is None and choice.kind != Kind.WITHDRAWN and not (before and before.kind in COUNTED),
        client_key=client_key,
    )
    _write_pairs(revision, comparison, choice)
    judgement.current = revision
    judgement.save(update_fields=["current"])
    change = (revision.kind in COUNTED) - bool(before and before.kind in COUNTED)
    Comparison.objects.filter(pk=comparison.pk).update(judged=F("judged") + change)
    Lease.objects.filter(comparison=comparison, person=person).delete()
    return revision


def _write_pairs(revision: Revision, comparison: Comparison, choice: Choice) -> None:
    if not (decided := pairs_of(choice)):
        return
    # Completions that read the same share a slot: the first of them stands for all.
    completions = dict(comparison.answers.order_by("-pk").values_list("number", "completion"))
    PreferencePair.objects.bulk_create(
        PreferencePair(
            revision=revision,
            prompt_id=comparison.prompt_id,
            chosen_id=completions[better],
            rejected_id=completions[worse],
        )
        for better, worse in decided
    )


def replaces_a_judgement(revision: Revision) -> bool:
    """Whether the person had judged the comparison before, and had not taken that back."""
    if revision.number == 1:
        return False
    before = Revision.objects.filter(judgement=revision.judgement_id, number=revision.number - 1).first()
    return before is not None and before.kind in COUNTED


def in_words(revision: Revision) -> str:
    """Return what was said, the answers numbered as they were shown: “answer 2”, “3 > 1 = 2”, “tie”."""
    if revision.kind == Kind.BOTH_BAD:
        return "both bad" if len(revision.shown) == 2 else "all bad"
    if revision.kind != Kind.RANKED:
        return revision.get_kind_display().lower()
    tiers = [sorted(revision.shown.index(slot) + 1 for slot in tier) for tier in revision.tiers]
    if len(tiers) == 1:
        return "tie"
    if revision.unordered or len(revision.shown) == 2:
        return f"answer {tiers[0][0]}"
    return " > ".join(" = ".join(str(number) for number in tier) for tier in tiers)


def judged_since(person: User, project: Project, moment: datetime) -> int:
    """Return how many comparisons this person has judged since then; what they skipped or took back is none."""
    mine = Judgement.objects.filter(person=person, comparison__project=project)
    return mine.filter(current__submitted_at__gte=moment, current__kind__in=COUNTED).count()


def last_judgement(person: User, project: Project) -> Judgement | None:
    """Return what this person judged last and has not taken back."""
    mine = Judgement.objects.filter(person=person, comparison__project=project, current__isnull=False)
    standing = mine.exclude(current__kind=Kind.WITHDRAWN).select_related("comparison__prompt", "current")
    return standing.order_by("-current").first()


@transaction.atomic
def take_back(person: User, project: Project, client_key: str) -> Lease | None:
    """Withdraw the person's last judgement and put that comparison before them again, as it was shown.

    Return None when there is nothing to take back. The same request twice takes back once.
    """
    one_at_a_time(person)
    if Revision.objects.filter(person=person, client_key=client_key).exists():
        return Lease.objects.filter(person=person, comparison__project=project).order_by("-opened_at").first()
    judgement = last_judgement(person, project)
    if judgement is None or judgement.current is None:
        return None
    shown = judgement.current.shown
    record(person, judgement.comparison, Choice(Kind.WITHDRAWN), shown=shown, client_key=client_key)
    lease = lease_to(person, judgement.comparison)
    # In front of what else lies before this person.
    Lease.objects.filter(pk=lease.pk).update(shown=shown, opened_at=Now())
    lease.refresh_from_db()
    return lease
