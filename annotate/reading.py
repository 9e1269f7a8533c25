"""What people read before they judge: the project's guidelines, and its content warning."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, OuterRef, QuerySet, Subquery

from annotate.models import Seat
from jobs.prepared import Prepared
from projects.access import USER, open_to_member, project_for_member
from projects.models import Guidelines, Project


@dataclass(frozen=True)
class Reading:
    """What a person has read. Their pages show this version of the guidelines, and judgements are stored with it."""

    guidelines: int | None  # the id of the version that they last began to judge under
    out_of_date: bool  # there is something newer to read, or their page shows another version than this


def _with_what_was_read() -> "QuerySet[Project]":
    seat = Seat.objects.filter(project=OuterRef("pk"), person=USER)
    versions = Guidelines.objects.filter(project=OuterRef("pk"))
    read = versions.filter(project__seats__person=USER, version=F("project__seats__guidelines_read"))
    return open_to_member().annotate(
        read=Subquery(read.values("pk")),
        newest=Subquery(versions.order_by("-version").values("pk")[:1]),
        agreed=Subquery(seat.values("warning_agreed")),
    )


_project = Prepared(_with_what_was_read)


def project_to_judge(person: User, slug: str, shown: str | None = None) -> tuple[Project, Reading]:
    """Return a project that opens for this person, and what they have read. One query.

    `shown` is the id of the guidelines that their page shows.
    """
    project: Any = project_for_member(person, slug, _project)
    to_read = (project.newest, project.content_warning)
    has_read = (project.read, project.agreed or "")
    other_page = shown is not None and shown != str(project.read or "")
    return project, Reading(project.read, out_of_date=other_page or to_read not in ((None, ""), has_read))


def begin(person: User, project: Project, version: int | None) -> None:
    """Note that a person has read this version of the guidelines, and agreed to the content warning."""
    read = {"guidelines_read": version, "warning_agreed": project.content_warning}
    Seat.objects.update_or_create(person=person, project=project, defaults=read)
