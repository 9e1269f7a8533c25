"""Practice: comparisons whose answer the admins have given, with what they said after each choice. Nothing counts."""

from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from annotate.checks import says_the_same, valid
from annotate.judging import Choice
from annotate.models import Comparison, Practised, Revision, Seat
from annotate.review import settlement
from projects.models import Project


def practice_of(project: Project) -> "list[Comparison]":
    """Return the project's practice comparisons in the order they are given; none where the settings ask for none."""
    if not project.practice_count:
        return []
    found = project.comparisons.filter(valid(), purpose=Comparison.Purpose.PRACTICE).select_related("prompt")
    return list(found.order_by("pk")[: project.practice_count])


def comes_first(person: User, project: Project) -> bool:
    """Whether this person has to practise before they judge: they are new, and there is something to practise."""
    if not project.practice_count:
        return False
    seat = seat_of(person, project)
    if seat.practised_at or Revision.objects.filter(project=project, person=person).exists():
        return False
    return bool(left(seat, practice_of(project)))


def seat_of(person: User, project: Project) -> Seat:
    seat, _ = Seat.objects.get_or_create(person=person, project=project)
    return seat


def left(seat: Seat, comparisons: list[Comparison]) -> list[Comparison]:
    """Return what the person has not practised in this run."""
    said = set(this_run(seat).values_list("comparison", flat=True))
    return [comparison for comparison in comparisons if comparison.pk not in said]


def this_run(seat: Seat) -> "QuerySet[Practised]":
    return Practised.objects.filter(person=seat.person_id, comparison__project=seat.project_id, run=seat.practice_run)


def say(person: User, comparison: Comparison, choice: Choice, shown: list[int]) -> Practised:
    """Store what a person says in practice. In one run the first word holds: the same submit twice is one.

    With the last one of the first run their practice is done.
    """
    seat, expected = seat_of(person, comparison.project), settlement(comparison)
    tiers = [list(tier) for tier in choice.tiers]
    said, _ = Practised.objects.get_or_create(
        person=person,
        comparison=comparison,
        run=seat.practice_run,
        defaults={
            "kind": choice.kind,
            "tiers": tiers,
            "unordered": list(choice.unordered),
            "shown": shown,
            "agreed": expected is not None and says_the_same(Revision(kind=choice.kind, tiers=tiers), expected),
        },
    )
    if not left(seat, practice_of(comparison.project)):
        Seat.objects.filter(pk=seat.pk, practised_at=None).update(practised_at=Now())
    return said


def start_again(person: User, project: Project) -> None:
    """Begin the practice anew; what was said before stays stored."""
    Seat.objects.filter(pk=seat_of(person, project).pk).update(practice_run=F("practice_run") + 1)
