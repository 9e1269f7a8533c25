"""What people read before they judge: the project's guidelines, and its content warning."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery

from annotate.models import Seat
from annotate.queue import PERSON, PROJECT
from jobs.prepared import Prepared
from projects.models import Guidelines, Project


@dataclass(frozen=True)
class Reading:
    """What a person has read. Their pages show this version of the guidelines, and judgements are stored with it."""

    guidelines: int | None  # the id of the version that they last began to judge under
    out_of_date: bool  # there is something newer to read, or their page shows another version than this


def _read() -> "QuerySet[Seat, tuple[int | None, int | None, str]]":
    versions = Guidelines.objects.filter(project=OuterRef("project"))
    read, newest = versions.filter(version=OuterRef("guidelines_read")), versions.order_by("-version")[:1]
    found = Seat.objects.filter(person=PERSON, project=PROJECT)
    found = found.annotate(read=Subquery(read.values("pk")), newest=Subquery(newest.values("pk")))
    return found.values_list("read", "newest", "warning_agreed")


_reading = Prepared(_read)


def reading_of(person: User, project: Project, shown: str | None = None) -> Reading:
    """Return what a person has read; `shown` is the id that their page sends. One query; two before they begin."""
    found = _reading.first(person=person.pk, project=project.pk)
    if found is None:
        return Reading(None, out_of_date=project.guidelines() is not None or project.content_warning != "")
    read, newest, agreed = found
    to_read = (newest, project.content_warning)
    other_page = shown is not None and shown != str(read or "")
    return Reading(read, out_of_date=other_page or to_read not in ((None, ""), (read, agreed)))


def begin(person: User, project: Project, version: int | None) -> None:
    """Note that a person has read this version of the guidelines, and agreed to the content warning."""
    read = {"guidelines_read": version, "warning_agreed": project.content_warning}
    Seat.objects.update_or_create(person=person, project=project, defaults=read)
