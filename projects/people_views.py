"""The pages of who is in a project: the admins' list, the links that invite, joining and leaving."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs.http import HtmxRequest
from projects.access import project_for_admin, project_for_member
from projects.invitations import (
    Closed,
    accept,
    accept_with_new_account,
    gives_nothing,
    invitation_of,
    invite,
    is_barred,
    why_closed,
)
from projects.models import Invitation, Membership, Project
from projects.people import ORDERS, Refused, change_role, leave, members, remove
from projects.people_forms import AddPersonForm, InviteForm, NewAccountForm, RoleForm

A_PAGE = 25
LATELY = timedelta(hours=24)


@require_safe
def people(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    return _people_page(request, project, AddPersonForm(project))


@never_cache
@require_POST
def add_person(request: HtmxRequest, slug: str) -> HttpResponse:
    """Add a person. A new account's password is on the answer to this request and nowhere else."""
    project = project_for_admin(request.user, slug)
    form = AddPersonForm(project, request.POST)
    if not form.is_valid():
        return _people_page(request, project, form)
    try:
        membership, password = form.add()
    except Refused as refused:
        form.add_error("username", str(refused))
        return _people_page(request, project, form)
    if password:
        return _people_page(
            request, project, AddPersonForm(project), newcomer=membership.user.username, password=password
        )
    messages.success(request, f"{membership.user} is in the project now.")
    return redirect("people", slug)


def _people_page(
    request: HtmxRequest, project: Project, form: AddPersonForm, links: InviteForm | None = None, **shown: str
) -> HttpResponse:
    order = request.GET.get("sort", "")
    order = order if order in ORDERS else "role"
    page = Paginator(members(project, Now() - LATELY, order), A_PAGE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "project": project,
        "tab": "people",
        "form": form,
        "page": page,
        "sort": order,
        "invite": links or InviteForm(),
        "links": [(link, request.build_absolute_uri(link.get_absolute_url())) for link in live_links(project)],
        **shown,
    }
    return render(request, "projects/people.html", context)


def live_links(project: Project) -> Iterable[Invitation]:
    return project.invitations.live().select_related("created_by").order_by("-pk")


@require_POST
def change_person(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    membership = _membership(project, pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return HttpResponse("Choose the role annotator or admin.", status=400, content_type="text/plain")
    try:
        change_role(membership, form.cleaned_data["role"], request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("people", slug)


@require_POST
def remove_person(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    membership = _membership(project, pk)
    try:
        remove(membership, request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{membership.user} has left the project. What they judged stays.")
    return redirect("people", slug)


def _membership(project: Project, pk: int) -> Membership:
    return get_object_or_404(project.memberships.select_related("user"), pk=pk, left_at=None)


@require_POST
def make_link(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _people_page(request, project, AddPersonForm(project), form)
    values = form.cleaned_data
    try:
        invite(project, request.user, role=values["role"], days=values["days"], most_uses=form.most_uses())
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "The link is made. Hand it on as it stands under “Open links”.")
    return redirect("people", slug)


@require_POST
def withdraw_link(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    get_object_or_404(project.invitations, pk=pk)
    project.invitations.filter(pk=pk).withdraw()
    messages.success(request, "The link lets nobody in any more. Who has joined by it stays.")
    return redirect("people", slug)


@require_http_methods(["GET", "HEAD", "POST"])
def leave_project(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    membership = get_object_or_404(project.memberships.select_related("user"), user=request.user, left_at=None)
    if request.method == "POST":
        try:
            leave(membership)
        except Refused as refused:
            messages.error(request, str(refused))
            return redirect("leave_project", slug)
        messages.success(request, f"You have left {project}. What you judged stays.")
        return redirect("home")
    return render(request, "projects/leave.html", {"project": project, "membership": membership})


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HtmxRequest, token: str) -> HttpResponse:
    """What a link opens. It changes nothing before a button is pressed: programs follow links too."""
    invitation = invitation_of(token)
    if invitation is None:
        return _join_page(request, invitation)
    if not request.user.is_authenticated:
        return redirect_to_login(request.path) if request.method == "POST" else _join_page(request, invitation)
    membership = invitation.project.memberships.filter(user=request.user).first()
    if gives_nothing(invitation, membership):
        messages.info(request, f"You are in {invitation.project} already.")
        return redirect("project", invitation.project.slug)
    if request.method != "POST" and not is_barred(invitation, membership):
        return _join_page(request, invitation)
    try:
        accept(invitation, request.user)
    except Closed as closed:
        return _closed(request, invitation, str(closed))
    except Refused as refused:
        raise PermissionDenied(str(refused)) from refused
    return _welcome(request, invitation)


@login_not_required
@never_cache
@require_POST
def join_with_new_account(request: HtmxRequest, token: str) -> HttpResponse:
    invitation = invitation_of(token)
    if invitation and request.user.is_authenticated:
        return redirect(invitation)
    form = NewAccountForm(request.POST)
    if invitation is None or why_closed(invitation) or not form.is_valid():
        return _join_page(request, invitation, form)
    try:
        person = accept_with_new_account(invitation, form.cleaned_data["username"], form.cleaned_data["password1"])
    except Closed as closed:
        return _closed(request, invitation, str(closed))
    except Refused as refused:
        form.add_error("username", str(refused))
        return _join_page(request, invitation, form)
    login(request, person)
    return _welcome(request, invitation)


def _join_page(request: HtmxRequest, invitation: Invitation | None, form: NewAccountForm | None = None) -> HttpResponse:
    if invitation is None:
        return render(request, "projects/link_closed.html", {"invitation": None}, status=404)
    if why := why_closed(invitation):
        return _closed(request, invitation, why)
    context = {"invitation": invitation, "project": invitation.project, "form": form or NewAccountForm()}
    return render(request, "projects/join.html", context)


def _closed(request: HtmxRequest, invitation: Invitation, why: str) -> HttpResponse:
    return render(request, "projects/link_closed.html", {"invitation": invitation, "why": why}, status=410)


def _welcome(request: HtmxRequest, invitation: Invitation) -> HttpResponse:
    messages.success(request, f"You are in {invitation.project} now.")
    return redirect("project", invitation.project.slug)
