"""Who may open what. A stranger gets 404 (the project does not exist for them), a member without the right 403."""

from django.contrib.auth.models import AbstractUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet, SlugField
from django.http import Http404

from jobs.prepared import Given, Prepared
from projects.models import Membership, Project

Person = AbstractUser | AnonymousUser

USER = Given("user")


def is_admin(user: Person, project: Project) -> bool:
    """Whether the person administers the project: its admins, and every operator."""
    return user.is_staff or has_role(user, project, Membership.Role.ADMIN)


def has_role(user: Person, project: Project, *roles: str) -> bool:
    return Membership.objects.filter(project=project, user_id=user.pk or 0, left_at=None, role__in=roles).exists()


def open_to_member() -> "QuerySet[Project]":
    """The project at an address, if it opens for a person: a member, or an operator. For `project_for_member`."""
    here = Membership.objects.filter(project=OuterRef("pk"), user=USER, left_at=None)
    opens = Q(Exists(here)) | Q(Given("operator", BooleanField()))
    return Project.objects.filter(opens, slug=Given("slug", SlugField()))


_open_to_member = Prepared(open_to_member)


def project_for_member(user: Person, slug: str, found_by: Prepared[Project] = _open_to_member) -> Project:
    """Return the project. One query, which may bring more along: one that is prepared of `open_to_member`."""
    if project := found_by.first(user=user.pk, operator=user.is_staff, slug=slug):
        return project
    raise Http404


def project_for_admin(user: Person, slug: str) -> Project:
    project = project_for_member(user, slug)
    if not is_admin(user, project):
        raise PermissionDenied(f"Only an admin of {project} may open this page.")
    return project


def require_operator(user: Person) -> None:
    if not user.is_staff:
        raise PermissionDenied("Only an operator may open this page.")


def add_member(project: Project, user: User, role: str) -> Membership:
    """Make the person a member with this role; somebody who had left comes back."""
    membership, _ = Membership.objects.update_or_create(
        project=project, user=user, defaults={"role": role, "left_at": None, "removed": False}
    )
    return membership
