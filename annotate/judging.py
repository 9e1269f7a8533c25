"""Recording what people say, and the preference pairs that follow from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, CharField, DateTimeField, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Greatest, Now

from annotate.edits import Edit, store_edit
from annotate.models import (
    COUNTED,
    REAL,
    Comparison,
    Exclusion,
    Judgement,
    Lease,
    PreferencePair,
    Revision,
    Seat,
    Slot,
)
from annotate.queue import (
    COMPARISON,
    PERSON,
    PROJECT,
    lease_in_front,
    left_for,
    live,
    one_at_a_time,
)
from jobs.prepared import Given, Prepared, PreparedChange, PreparedInsert, deleting, updating
from projects.models import Project

Kind = Revision.Kind

FEW = 10  # revisions
COUNT_KEEPS = timedelta(minutes=3)
# By time, which has an index with the person. By id alone PostgreSQL would walk back through what everybody said.
NEWEST_FIRST = ("-submitted_at", "-pk")


class ChoiceError(ValueError):
    """A choice that does not fit the comparison. The text says what came and what is allowed."""


@dataclass(frozen=True)
class Choice:
    """What a person says: a ranking of slots in tiers, best first, or that nothing can be said."""

    kind: Revision.Kind
    tiers: tuple[tuple[int, ...], ...] = ()
    unordered: tuple[int, ...] = ()  # indexes of tiers whose members were not compared with each other
    strength: int | None = None  # a Revision.Strength, of a winner among two
    quality: str = ""  # a Revision.Quality, of a winner
    reason: str = ""
    flags: tuple[str, ...] = ()  # what is wrong, in the project's sentences
    edit: Edit | None = None  # the person's own answer, which is better than all of the comparison's


def best_of(winner: int, slots: int, **about: Any) -> Choice:
    """The winner over each of the others, and nothing among the others. `about` is the rest of a Choice."""
    losers = tuple(slot for slot in range(slots) if slot != winner)
    return Choice(Kind.RANKED, ((winner,), losers), (1,) if len(losers) > 1 else (), **about)


def tie(slots: int, **about: Any) -> Choice:
    return Choice(Kind.RANKED, (tuple(range(slots)),), **about)


def read_ranking(line: str, shown: list[int], **about: Any) -> Choice:
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
    tiers = tuple(tuple(sorted(shown[number - 1] for number in tier)) for tier in places)
    return Choice(Kind.RANKED, tiers, **about)


def pairs_of(choice: Choice) -> list[tuple[int, int]]:
    """Return (better slot, worse slot) for each pair that the choice decides."""
    return [
        (better, worse)
        for place, tier in enumerate(choice.tiers)
        for better in tier
        for lower in choice.tiers[place + 1 :]
        for worse in lower
    ]


def _asked() -> "QuerySet[Slot]":
    """The answers of a comparison whose row is locked, the newest first, and what of the person bears on it."""
    sent = Revision.objects.filter(person=PERSON, client_key=Given("client_key", CharField()))
    vote = Judgement.objects.votes().filter(comparison=COMPARISON, person=PERSON)
    answers = Slot.objects.filter(comparison=COMPARISON, comparison__project=PROJECT)
    answers = answers.select_related("comparison").order_by("-pk")
    locked = answers.select_for_update(of=("comparison",), no_key=True)
    excluded = Exclusion.objects.filter(project=OuterRef("comparison__project"), person=PERSON, lifted_at=None)
    return locked.annotate(
        sent=Subquery(sent.values("pk")), vote=Subquery(vote.values("pk")), excluded=Subquery(excluded.values("since"))
    )


_answers_locked: Prepared[Any] = Prepared(_asked)
_store_judgement = PreparedInsert(Judgement)
_store_revision = PreparedInsert(Revision)
_end_live_lease = PreparedChange(lambda: deleting(Lease.objects.filter(live(), comparison=COMPARISON, person=PERSON)))
_make_current = PreparedChange(
    lambda: updating(Judgement.objects.filter(pk=Given("judgement")), current=Given("revision"))
)
_count_vote = PreparedChange(
    lambda: updating(Comparison.objects.filter(pk=COMPARISON), judged=F("judged") + Given("change"))
)
_count_in_seat = PreparedChange(
    lambda: updating(
        Seat.objects.filter(person=PERSON, project=PROJECT),
        left=Greatest(F("left") + Given("left"), 0),
        today=Greatest(F("today") + Given("counts") - _counted_today(), 0),
    )
)


def _counted_today() -> Case:
    """1 if what a person had said before counted, and was said on the day that their seat counts."""
    return Case(When(day__lte=Given("before_at", DateTimeField()), then=1), default=0)


@transaction.atomic(savepoint=False)
def record(
    person: User,
    comparison: Comparison,
    choice: Choice,
    *,
    shown: list[int],
    client_key: str,
    opened_at: datetime | None = None,
    guidelines: int | None = None,
    seconds: float | None = None,
    settles: bool = False,
) -> Revision:
    """Store what a person says of a comparison, with the pairs it implies. The same submit twice counts once.

    Of `comparison` the id and the project are used: all else is read under the row's lock. A submit whose lease has
    ended is kept all the same and marked late, unless it replaces one that counted. The page says when it was opened,
    the id of the guidelines it showed, and for how many seconds it was in sight. What `settles` is the admins'
    settlement of the comparison: it fills no place of the overlap.

    Raises:
        Comparison.DoesNotExist: the project has no such comparison, or has it for practice only.
    """
    if not settles:
        one_at_a_time(person)  # first the person, then the comparison: always in this order
    answers = _lock(person, comparison, client_key, settles)
    asked = answers[0]
    comparison = asked.comparison
    if asked.sent:
        return Revision.objects.get(pk=asked.sent)
    in_time = not settles and _end_lease(person, comparison)
    judgement = _settlement(person, comparison) if settles else _vote(person, comparison, asked.vote)
    before = judgement.current
    counted_before = before is not None and before.kind in COUNTED
    revision = Revision(
        project_id=comparison.project_id,
        judgement=judgement,
        person=person,
        number=before.number + 1 if before else 1,
        kind=choice.kind,
        tiers=[list(tier) for tier in choice.tiers],
        unordered=list(choice.unordered),
        strength=choice.strength,
        quality=choice.quality,
        reason=choice.reason,
        flags=list(choice.flags),
        edit=store_edit(person, comparison, choice.edit) if choice.edit else None,
        shown=shown,
        guidelines_id=guidelines,
        opened_at=opened_at,
        seconds=seconds,
        late=not in_time and not settles and choice.kind != Kind.WITHDRAWN and not counted_before,
        client_key=client_key,
    )
    _store_revision(revision)
    _write_pairs(revision, answers, choice)
    _make_current(judgement=judgement.pk, revision=revision.pk)
    if not settles:
        _fill_a_place(person, comparison, before, revision, asked.excluded)
    return revision


def _lock(person: User, comparison: Comparison, client_key: str, settles: bool) -> list[Any]:
    """Return `_asked` of the comparison. The row's lock: two submits for one comparison take turns."""
    ids = {"comparison": comparison.pk, "project": comparison.project_id, "person": person.pk}
    answers = _answers_locked(**ids, client_key=client_key)
    if not answers or (answers[0].comparison.purpose == Comparison.Purpose.PRACTICE and not settles):
        raise Comparison.DoesNotExist
    return answers


def _vote(person: User, comparison: Comparison, known: int | None) -> Judgement:
    if known:
        return Judgement.objects.select_related("current").get(pk=known)
    return _store_judgement(Judgement(comparison=comparison, person=person))


def _settlement(person: User, comparison: Comparison) -> Judgement:
    """Return the admins' common judgement, made if this is the first. Asked under the lock: any admin may settle."""
    known = Judgement.objects.filter(comparison=comparison, settles=True).select_related("current").first()
    return known or Judgement.objects.create(comparison=comparison, person=person, settles=True)


def _end_lease(person: User, comparison: Comparison) -> bool:
    """Take the comparison from before the person; say whether it lay there by right. What has run out goes later."""
    return bool(_end_live_lease(comparison=comparison.pk, person=person.pk))


def _fill_a_place(
    person: User, comparison: Comparison, before: Revision | None, now: Revision, excluded: datetime | None
) -> None:
    """Count a vote towards the overlap, unless it falls into the time `excluded`, and what is left for the person."""

    def fills(revision: Revision | None) -> bool:
        if revision is None or revision.kind not in COUNTED:
            return False
        return excluded is None or revision.submitted_at < excluded

    if change := fills(now) - fills(before):
        _count_vote(comparison=comparison.pk, change=change)
    _count_in_the_seat(person, comparison, before, now)


def _count_in_the_seat(person: User, comparison: Comparison, before: Revision | None, now: Revision) -> None:
    stood, stands = (revision is not None and revision.kind != Kind.WITHDRAWN for revision in (before, now))
    _count_in_seat(
        person=person.pk,
        project=comparison.project_id,
        left=stood - stands if comparison.purpose in REAL else 0,  # checks are not among what is left
        counts=int(now.kind in COUNTED),
        before_at=before.submitted_at if before and before.kind in COUNTED else None,
    )


def _write_pairs(revision: Revision, answers: Sequence[Slot], choice: Choice) -> None:
    decided = pairs_of(choice)
    if not decided and revision.edit is None:
        return
    # Completions that read the same share a slot: the first of them, which comes last here, stands for all.
    completions = {answer.number: answer.completion_id for answer in answers}
    pairs = [(completions[better], completions[worse]) for better, worse in decided]
    if revision.edit_id:
        pairs = [(revision.edit_id, completions[slot]) for slot in sorted(completions)] + pairs
    prompt = answers[0].comparison.prompt_id
    PreferencePair.objects.bulk_create(
        PreferencePair(revision=revision, prompt_id=prompt, chosen_id=chosen, rejected_id=rejected)
        for chosen, rejected in pairs
    )


def replaces_a_judgement(revision: Revision) -> bool:
    """Whether the person had judged the comparison before, and had not taken that back."""
    if revision.number == 1:
        return False
    before = Revision.objects.filter(judgement=revision.judgement_id, number=revision.number - 1).first()
    return before is not None and before.kind in COUNTED


def in_words(revision: Revision, own: str = "your text") -> str:
    """Return what was said, the answers numbered as they were shown: “answer 2”, “3 > 1 = 2”, “tie”.

    An answer of the person's own stands in front, as what `own` calls it: “your text > answer 2”.
    """
    said = _in_words(revision)
    if revision.edit_id is None:
        return said
    return f"{own}; {said}" if revision.kind != Kind.RANKED or said == "tie" else f"{own} > {said}"


def _in_words(revision: Revision) -> str:
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


def tally(person: User, project: Project, day: datetime) -> tuple[int, int]:
    """Return how many comparisons this person has judged since their day began, and about how many are left for them.

    What they skipped or took back is none. Both are counted now and then, and each judgement changes what is kept.
    """
    today, left = _kept.first(person=person.pk, project=project.pk, day=day) or (None, None)
    return _count(person, project, day) if today is None or not left else (today, left)


def _kept_in_seat() -> "QuerySet[Seat, tuple[int | None, int | None]]":
    lately = Q(counted_at__gt=Now() - COUNT_KEEPS)
    today = Case(When(lately, day=Given("day", DateTimeField()), then="today"))
    return Seat.objects.filter(person=PERSON, project=PROJECT).values_list(today, Case(When(lately, then="left")))


_kept = Prepared(_kept_in_seat)


def _count(person: User, project: Project, day: datetime) -> tuple[int, int]:
    today = standing(person, project).filter(submitted_at__gte=day, kind__in=COUNTED).count()
    left = left_for(person, project)
    with transaction.atomic():  # on SQLite it takes its turn then
        seats = Seat.objects.filter(person=person, project=project)
        seats.update(today=today, day=day, left=left, counted_at=Now())
    return today, left


def standing(person: User, project: Project) -> "QuerySet[Revision]":
    """Return what this person last said of each comparison and has not taken back, the newest first."""
    votes = Revision.objects.filter(person=person, project=project, judgement__settles=False)
    current = votes.filter(judgement__current=F("pk")).exclude(kind=Kind.WITHDRAWN)
    return current.order_by(*NEWEST_FIRST)


def last_said(person: User, project: Project) -> Revision | None:
    """Return what this person said last and has not taken back."""
    # The last few by their index: with a join PostgreSQL would read all that the person ever said.
    last = Revision.objects.filter(project=project, person=person).select_related("judgement").order_by(*NEWEST_FIRST)
    for revision in last[:FEW]:
        stands = revision.judgement.current_id == revision.pk and revision.kind != Kind.WITHDRAWN
        if stands and not revision.judgement.settles:
            return revision
    return standing(person, project).first()


@transaction.atomic(savepoint=False)
def take_back(person: User, project: Project, client_key: str) -> Lease | None:
    """Withdraw the person's last judgement and put that comparison before them again, as it was shown.

    Return None when there is nothing to take back. The same request twice takes back once.
    """
    one_at_a_time(person)
    if Revision.objects.filter(person=person, client_key=client_key).exists():
        return Lease.objects.filter(person=person, project=project).order_by("turn").first()
    last = last_said(person, project)
    if last is None:
        return None
    comparison = last.judgement.comparison
    record(person, comparison, Choice(Kind.WITHDRAWN), shown=last.shown, client_key=client_key)
    lease = lease_in_front(person, comparison)
    lease.shown = last.shown
    lease.save(update_fields=["shown"])
    return lease
