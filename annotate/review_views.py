"""The admins' pages of what was judged."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from annotate import review
from annotate.blind import Seen, answers, earlier, seal
from annotate.judging import in_words
from annotate.models import Comparison, Exclusion, Revision
from annotate.review_forms import ExcludeForm, FilterForm, SettleForm
from jobs.http import HtmxRequest, zone_of
from projects.access import project_for_admin
from projects.models import Project, Prompt
from projects.search import LastTurn

A_PAGE = 25
OWN = "own text"
ORDERS = {"": ("-pk",), "oldest": ("pk",), "longest": ("-seconds", "-pk"), "shortest": ("seconds", "pk")}
KINDS = {"flagged", "both_bad", "skipped"}
SWITCHES = {"opposed", "settled", "left_out", "late"}


@require_safe
def judgements(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = FilterForm(request.GET, project)
    page = Paginator(_filtered(project, form), A_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "tab": "review",
        "form": form,
        "filtered": any(request.GET.get(name) for name in ("search", "show", "purpose", "person")),
        "page": page,
        "rows": [(revision, in_words(revision, OWN)) for revision in page],
        "left_out": review.left_out(project),
        "exclusions": _exclusions(project),
        "exclude": ExcludeForm(None, project, zone_of(request)),
    }
    return render(request, "annotate/review.html", context)


def _filtered(project: Project, form: FilterForm) -> "QuerySet[Revision]":
    form.is_valid()
    wanted = form.cleaned_data
    found = review.votes(project).select_related("person", "judgement__comparison__prompt")
    if person := wanted.get("person"):
        found = found.filter(person=person)
    if purpose := wanted.get("purpose"):
        found = found.filter(judgement__comparison__purpose=purpose)
    if (show := wanted.get("show", "")) in KINDS:
        found = found.filter(kind=show)
    elif show in SWITCHES:
        found = found.filter(**{show: True})
    elif show == "reason":
        found = found.exclude(reason="")
    if words := wanted.get("search"):
        prompts = Prompt.objects.filter(project=project).alias(last=LastTurn("messages")).filter(last__icontains=words)
        found = found.filter(judgement__comparison__prompt__in=prompts.values("pk"))
    if "seconds" in (order := ORDERS[wanted.get("order", "")])[0]:
        found = found.exclude(seconds=None)
    return found.order_by(*order)


def _exclusions(project: Project) -> "QuerySet[Exclusion]":
    return project.exclusions.select_related("person", "created_by", "lifted_by").order_by("lifted_at", "-pk")


@require_safe
def comparison(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    return _comparison(request, project, _found(project, pk))


def _found(project: Project, pk: int) -> Comparison:
    found: Comparison = get_object_or_404(project.comparisons.select_related("prompt"), pk=pk)
    return found


def _comparison(
    request: HtmxRequest, project: Project, comparison: Comparison, form: SettleForm | None = None
) -> HttpResponse:
    shown = list(range(comparison.slots))  # everybody's numbers differ; here the answers stand in their slots' order
    chains = (
        Revision.objects.filter(judgement__comparison=comparison)
        .with_left_out()
        .select_related("person", "guidelines", "judgement", "edit")
        .order_by("judgement", "-number")
    )
    standing = review.settlement(comparison)
    slots = comparison.answers.select_related("completion__policy", "completion__damage").order_by("number", "pk")
    policies = [(slot.number + 1, slot.completion) for slot in slots]
    context: dict[str, Any] = {
        "project": project,
        "tab": "review",
        "comparison": comparison,
        "earlier": earlier(comparison.prompt),
        "answers": answers(comparison, shown),
        "policies": policies,
        "damaged": any(hasattr(completion, "damage") for _, completion in policies),
        "chains": [(revision, in_words(_renumbered(revision, shown), OWN)) for revision in chains],
        "settlement": standing,
        "settled_words": in_words(_renumbered(standing, shown)) if standing else "",
        "seen": seal(request.user, comparison, Seen(shown, None, None)),
        "client_key": uuid.uuid4(),
        "form": form,
    }
    return render(request, "annotate/review_comparison.html", context)


def _renumbered(revision: Revision, shown: list[int]) -> Revision:
    """Let it be told in the numbers of this page instead of those that the person saw."""
    revision.shown = shown
    return revision


@require_POST
def settle(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    comparison = _found(project, pk)
    form = SettleForm(request.POST, person=request.user, comparison=comparison)
    if not form.is_valid():
        return _comparison(request, project, comparison, form)
    sent = form.cleaned_data
    review.settle(comparison, sent["said"], request.user, sent["seen"].shown, sent["client_key"])
    messages.success(request, "Settled. It wins over the votes wherever pairs are counted from now on.")
    return redirect("review_comparison", slug, pk)


@require_POST
def unsettle(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    review.unsettle(_found(project, pk), request.user)
    messages.success(request, "The settlement is taken back: the votes count again.")
    return redirect("review_comparison", slug, pk)


@require_POST
def exclude(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = ExcludeForm(request.POST, project, zone_of(request))
    if not form.is_valid():
        messages.error(request, next(str(error) for errors in form.errors.values() for error in errors))
        return redirect("review", slug)
    chosen = form.cleaned_data
    try:
        review.exclude(project, chosen["person"], chosen["since"], request.user, chosen["reason"])
    except review.Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("review", slug)
    messages.success(
        request, f"The judgements of {chosen['person']} are left out, and their places are free again for others."
    )
    return redirect(
        f"{reverse('review', args=[slug])}?{urlencode({'show': 'left_out', 'person': chosen['person'].pk})}"
    )


@require_POST
def lift(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    exclusion = get_object_or_404(project.exclusions.select_related("person", "project"), pk=pk)
    review.lift(exclusion, request.user)
    messages.success(request, f"The judgements of {exclusion.person} count again.")
    return redirect("review", slug)
