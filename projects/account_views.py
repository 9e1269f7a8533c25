"""The operators' pages of accounts."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs.http import HtmxRequest
from projects.access import require_operator
from projects.accounts import deactivate, only_admin_of, reactivate
from projects.people import Refused
from projects.people_forms import AccountFilterForm

A_PAGE = 25


@require_safe
def accounts(request: HtmxRequest) -> HttpResponse:
    require_operator(request.user)
    filters = AccountFilterForm(request.GET)
    page = Paginator(filters.accounts(), A_PAGE).get_page(request.GET.get("page"))
    return render(request, "projects/accounts.html", {"filters": filters, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def deactivate_account(request: HtmxRequest, pk: int) -> HttpResponse:
    """Ask, and say what becomes of the person's work; by POST do it."""
    require_operator(request.user)
    person = get_object_or_404(User, pk=pk)
    if request.method != "POST":
        context = {"person": person, "only_admin_of": only_admin_of(person)}
        return render(request, "projects/deactivate.html", context)
    try:
        deactivate(person, request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{person} is deactivated and signed out everywhere. What they judged stays.")
    return redirect("accounts")


@require_POST
def reactivate_account(request: HtmxRequest, pk: int) -> HttpResponse:
    require_operator(request.user)
    person = get_object_or_404(User, pk=pk)
    reactivate(person)
    messages.success(request, f"{person} can sign in again and is in their projects as before.")
    return redirect("accounts")
