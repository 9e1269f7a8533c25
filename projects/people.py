"""The people of a project: who they are, what they did, and their coming and going."""

import secrets

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from projects.access import add_member
from projects.models import Membership, Project

PASSWORD_BYTES = 12
COUNTED = ("ranked", "both_bad")  # kinds of revision, of an app above this one, that say which answer is better


class Refused(ValueError):
    """A change that cannot be made. The text says why, and what to do instead."""


def members(project: Project, since: object) -> "QuerySet[Membership]":
    """Return who belongs to the project, admins first, with their judgements in all and since a moment."""
    mine = Q(user__judgements__comparison__project=project, user__judgements__current__kind__in=COUNTED)
    lately = Q(user__judgements__current__submitted_at__gt=since)
    return (
        Membership.objects.filter(project=project, left_at=None)
        .select_related("user")
        .annotate(
            judged=Count("user__judgements", filter=mine), judged_lately=Count("user__judgements", filter=mine & lately)
        )
        .order_by("role", "user__username")
    )


@transaction.atomic
def add_new_person(project: Project, username: str, role: str) -> tuple[Membership, str]:
    """Make an account and its membership; return it with the password, which is kept nowhere in plain.

    Raises:
        Refused: somebody else was quicker to take the name.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        with transaction.atomic():
            user = User.objects.create_user(username, password=password)
    except IntegrityError as error:
        raise Refused(f"The name {username} is taken. Choose another, or add the person who has it.") from error
    return add_member(project, user, role), password


@transaction.atomic
def change_role(membership: Membership, role: str, by: User) -> None:
    """Make the person an admin or an annotator.

    Raises:
        Refused: they change their own part, or no admin would be left.
    """
    if role != Membership.Role.ADMIN:
        _keep_an_admin(membership, by)
    Membership.objects.filter(pk=membership.pk).update(role=role)


@transaction.atomic
def remove(membership: Membership, by: User) -> None:
    """Date the person's leaving. What they judged stays.

    Raises:
        Refused: they remove themselves, or no admin would be left.
    """
    _keep_an_admin(membership, by)
    Membership.objects.filter(pk=membership.pk).update(left_at=Now())


def _keep_an_admin(membership: Membership, by: User) -> None:
    if membership.user_id == by.pk:
        raise Refused("You cannot take your own part away. Ask another admin, or an operator, to do it.")
    # The project's row is locked: two admins who remove each other at once take turns.
    Project.objects.select_for_update().get(pk=membership.project_id)
    admins = Membership.objects.filter(project=membership.project_id, left_at=None, role=Membership.Role.ADMIN)
    if admins.filter(pk=membership.pk).exists() and not admins.exclude(pk=membership.pk).exists():
        raise Refused(f"{membership.user} is the last admin. Make somebody else an admin first.")
