"""Links by which people join a project."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.core.signing import BadSignature
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from projects.access import add_member
from projects.models import Invitation, Membership, Project
from projects.people import Refused, create_account

DAYS = (1, 7, 30)  # how long a link may be valid
MOST_LIVE = 20  # links of a project: more are a list that nobody looks through


class Closed(Refused):
    """The link lets nobody in any more. The text says why."""


def invite(project: Project, by: User, *, role: str, days: int, most_uses: int | None) -> Invitation:
    """Make a link, valid for so many days by the database's clock and for so many people; None: for any number.

    Raises:
        Refused: the project has too many live links.
    """
    if project.invitations.live().count() >= MOST_LIVE:
        raise Refused(f"{project} has {MOST_LIVE} open links, and more are not kept. Withdraw one of them first.")
    return project.invitations.create(
        created_by=by, role=role, expires_at=Now() + timedelta(days=days), most_uses=most_uses
    )


def invitation_of(token: str) -> Invitation | None:
    """Return the invitation that a link was made for; None where Winnow did not make the link. One query."""
    try:
        pk = Invitation.signer.unsign(token)
    except BadSignature:
        return None
    return Invitation.objects.select_related("project", "created_by").filter(pk=pk).first()


def why_closed(invitation: Invitation) -> str:
    """Return why nobody can join by this link any more, or nothing where they can. One query."""
    if Invitation.objects.live().filter(pk=invitation.pk).exists():
        return ""
    if invitation.withdrawn_at:
        return "The link was withdrawn."
    if invitation.most_uses is not None and invitation.uses >= invitation.most_uses:
        return "The link was for one person, and somebody has joined by it."
    return "The link has run out."


def gives_nothing(invitation: Invitation, membership: Membership | None) -> bool:
    """Whether the person has already what the link gives, or more."""
    if membership is None or membership.left_at:
        return False
    return membership.role in (invitation.role, Membership.Role.ADMIN)


def is_barred(invitation: Invitation, membership: Membership | None) -> bool:
    """Whether an admin removed this person after the link was made: they do not come back by it."""
    if membership is None or membership.left_at is None:
        return False
    return membership.removed and membership.left_at >= invitation.created_at


@transaction.atomic
def accept(invitation: Invitation, person: User) -> bool:
    """Make the person a member by the link; False where they were one already: no use is counted then.

    Raises:
        Closed: the link has run out, was withdrawn or has no use left.
        Refused: an admin removed this person after the link was made.
    """
    User.objects.select_for_update(no_key=True).get(pk=person.pk)  # two presses of one person take turns
    before = Membership.objects.filter(project=invitation.project_id, user=person).first()
    if gives_nothing(invitation, before):
        return False
    if is_barred(invitation, before):
        raise Refused(f"An admin took you out of {invitation.project} after this link was made.")
    # The condition and the count are one statement: the last use is never given twice.
    if Invitation.objects.live().filter(pk=invitation.pk).update(uses=F("uses") + 1) == 0:
        invitation.refresh_from_db(fields=["uses", "withdrawn_at"])
        raise Closed(why_closed(invitation))
    add_member(invitation.project, person, invitation.role)
    return True


@transaction.atomic
def accept_with_new_account(invitation: Invitation, username: str, password: str) -> User:
    """Make an account and its membership by the link; without the one there is not the other.

    Raises:
        Closed: the link has run out, was withdrawn or has no use left.
        Refused: somebody else was quicker to take the name.
    """
    person = create_account(username, password)
    accept(invitation, person)
    return person
