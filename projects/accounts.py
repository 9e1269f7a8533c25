"""Accounts, as operators see them: who has one, and taking it away for a while or for good."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Prefetch, QuerySet

from projects.models import Invitation, Membership
from projects.people import Refused
from projects.signals import person_left


def accounts() -> "QuerySet[User]":
    """Return all accounts by name, each with its memberships, and their projects, as `parts`. Two queries."""
    parts = Membership.objects.filter(left_at=None).select_related("project").order_by("project__name")
    return User.objects.order_by("username").prefetch_related(Prefetch("memberships", parts, to_attr="parts"))


def deactivate(person: User, by: User) -> None:
    """Let the person sign in no more, end their sessions and the links they made. Their work and places stay.

    Sessions end because Django takes nobody from a session whose account is not active.

    Raises:
        Refused: it is their own account, or their own right to do this has gone meanwhile.
    """
    if person.pk == by.pk:
        raise Refused("You cannot deactivate your own account. Ask another operator to do it.")
    with transaction.atomic():
        # The operators' rows are locked: two who deactivate each other at once take turns, and one remains.
        operators = User.objects.select_for_update(no_key=True).filter(is_staff=True, is_active=True).order_by("pk")
        if by.pk not in set(operators.values_list("pk", flat=True)):
            raise Refused("Your own account was deactivated meanwhile. Ask another operator.")
        User.objects.filter(pk=person.pk).update(is_active=False)
        Invitation.objects.filter(created_by=person).withdraw()
    person_left.send(User, project=None, person=person)


def reactivate(person: User) -> None:
    """Let the person sign in again; they are in their projects as before."""
    User.objects.filter(pk=person.pk).update(is_active=True)


def only_admin_of(person: User) -> list[str]:
    """Return the names of the projects that would have no active admin without this person. One query."""
    admins = Membership.objects.filter(left_at=None, role=Membership.Role.ADMIN, user__is_active=True)
    with_others = admins.exclude(user=person).values("project")
    return list(
        admins.filter(user=person)
        .exclude(project__in=with_others)
        .order_by("project__name")
        .values_list("project__name", flat=True)
    )
