"""The people of a project: who they are, what they did, and their coming and going."""

import secrets

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from projects.access import add_member
from projects.models import Invitation, InvitationQuerySet, Membership, Project
from projects.signals import person_left

PASSWORD_BYTES = 12
COUNTED = ("ranked", "both_bad")  # kinds of revision, of an app above this one, that say which answer is better


class Refused(ValueError):
    """A change that cannot be made. The text says why, and what to do instead."""


# What a list of members can be sorted by; names settle what is equal.
ORDERS = {"name": [], "role": ["role"], "judged": ["-judged"], "joined": ["-joined_at"]}


def members(project: Project, since: object, order: str = "role") -> "QuerySet[Membership]":
    """Return who belongs to the project, with their judgements in all and since a moment; settlements are left out."""
    mine = Q(
        user__judgements__comparison__project=project,
        user__judgements__settles=False,
        user__judgements__current__kind__in=COUNTED,
    )
    lately = Q(user__judgements__current__submitted_at__gt=since)
    return (
        Membership.objects.filter(project=project, left_at=None)
        .select_related("user")
        .annotate(
            judged=Count("user__judgements", filter=mine), judged_lately=Count("user__judgements", filter=mine & lately)
        )
        .order_by(*ORDERS[order], "user__username")
    )


def create_account(username: str, password: str) -> User:
    """Make an account.

    Raises:
        Refused: somebody else was quicker to take the name.
    """
    try:
        with transaction.atomic():
            return User.objects.create_user(username, password=password)
    except IntegrityError as error:
        raise Refused(f"The name {username} is taken. Choose another, or add the person who has it.") from error


@transaction.atomic
def add_new_person(project: Project, username: str, role: str) -> tuple[Membership, str]:
    """Make an account and its membership; return it with the password, which is kept nowhere in plain.

    Raises:
        Refused: somebody else was quicker to take the name.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    return add_member(project, create_account(username, password), role), password


@transaction.atomic
def change_role(membership: Membership, role: str, by: User) -> None:
    """Make the person an admin or an annotator. The links of somebody who is no admin any more end.

    Raises:
        Refused: they change their own part, or no admin would be left.
    """
    if role != Membership.Role.ADMIN:
        _not_oneself(membership, by)
        _keep_an_admin(membership)
        _links_of(membership).withdraw()
    Membership.objects.filter(pk=membership.pk).update(role=role)


def remove(membership: Membership, by: User) -> None:
    """Take the person out of the project. What they judged stays; the links they made end.

    Raises:
        Refused: they remove themselves, or no admin would be left.
    """
    _not_oneself(membership, by)
    _end(membership, removed=True)


def leave(membership: Membership) -> None:
    """Let the person leave of their own will. What they judged stays; the links they made end.

    Raises:
        Refused: no admin would be left.
    """
    _end(membership, removed=False)


def _end(membership: Membership, *, removed: bool) -> None:
    with transaction.atomic():
        _keep_an_admin(membership)
        _links_of(membership).withdraw()
        Membership.objects.filter(pk=membership.pk, left_at=None).update(left_at=Now(), removed=removed)
    person_left.send(Project, project=membership.project, person=membership.user)


def _links_of(membership: Membership) -> InvitationQuerySet:
    return Invitation.objects.filter(project=membership.project_id, created_by=membership.user_id)


def _not_oneself(membership: Membership, by: User) -> None:
    if membership.user_id == by.pk:
        raise Refused("You cannot take your own part away. Ask another admin, or an operator, to do it.")


def _keep_an_admin(membership: Membership) -> None:
    """Check that the project has an admin without this person; one whose account is deactivated does not count."""
    # The project's row is locked: two admins who remove each other at once take turns.
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    admins = Membership.objects.filter(
        project=membership.project_id, left_at=None, role=Membership.Role.ADMIN, user__is_active=True
    )
    if admins.filter(pk=membership.pk).exists() and not admins.exclude(pk=membership.pk).exists():
        raise Refused(f"{membership.user} is the last admin. Make somebody else an admin first.")
