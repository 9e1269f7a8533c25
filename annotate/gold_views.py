"""The admins' page of gold and practice comparisons."""

import secrets
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotate import gold
from annotate.gold_forms import AddForm, DamageForm
from annotate.judging import in_words
from annotate.models import Check, Comparison
from jobs.http import HtmxRequest
from projects.access import project_for_admin
from projects.models import Project

A_PAGE = 25
Purpose = Comparison.Purpose


@require_safe
def checks(request: HtmxRequest, slug: str) -> HttpResponse:
    return _page(request, project_for_admin(request.user, slug), DamageForm())


def _page(request: HtmxRequest, project: Project, damage: DamageForm) -> HttpResponse:
    candidates = Paginator(gold.candidates(project), A_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "tab": "review",
        "tables": [
            _table(request, project, Purpose.GOLD, "Gold comparisons"),
            _table(request, project, Purpose.PRACTICE, "Practice comparisons"),
        ],
        "page": candidates,
        "damage": damage,
        "fewest_people": gold.FEWEST_PEOPLE,
    }
    return render(request, "annotate/gold.html", context)


def _table(request: HtmxRequest, project: Project, purpose: Purpose, title: str) -> dict[str, Any]:
    page = Paginator(gold.listed(project, purpose), A_PAGE).get_page(request.GET.get(f"{purpose}_page"))
    rows = [(one, _expected(one)) for one in gold.outcomes(page)]
    return {"name": purpose.value, "title": title, "page": page, "rows": rows, "page_name": f"{purpose}_page"}


def _expected(outcome: gold.Outcome) -> str:
    """Return the settlement in words, the answers numbered as the comparison's page has them."""
    if outcome.expected is None:
        return ""
    outcome.expected.shown = list(range(outcome.check.comparison.slots))
    return in_words(outcome.expected)


@require_POST
def add(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = AddForm(request.POST, project)
    if not form.is_valid():
        messages.error(request, next(str(error) for errors in form.errors.values() for error in errors))
        return redirect("gold", slug)
    wanted = form.cleaned_data
    made = gold.add(wanted["comparisons"], wanted["purpose"], request.user, wanted["reason"])
    messages.success(request, _added(len(made), wanted["purpose"]))
    return redirect("gold", slug)


@require_POST
def damage(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = DamageForm(request.POST)
    if not form.is_valid():
        return _page(request, project, form)
    wanted = form.cleaned_data
    seed = secrets.randbelow(2**31)
    made = gold.add_damaged(project, wanted["how_many"], wanted["purpose"], request.user, seed, wanted["kinds"])
    if len(made) < wanted["how_many"]:
        messages.warning(
            request,
            f"{_added(len(made), wanted['purpose'])} There are no more answers that can be damaged so: they need whole "
            "sentences, for wrong numbers a number, no code, and a comparison of two answers. Sample more, or choose "
            "another damage.",
        )
    else:
        messages.success(request, f"{_added(len(made), wanted['purpose'])} Look at each before people do.")
    return redirect("gold", slug)


def _added(number: int, purpose: str) -> str:
    return f"{number} {purpose} comparison{'' if number == 1 else 's'} added."


@require_POST
def take_out(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    check = get_object_or_404(Check.objects.select_related("comparison"), pk=pk, comparison__project=project)
    gold.take_out(check, request.user)
    messages.success(request, "Taken out: nobody is given it any more, and it counts in no figure.")
    return redirect("gold", slug)
