"""The pages of blind A/Bs, and the ranking of policies that follows from them."""

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from generation.models import Policy
from jobs.http import HtmxRequest, fragment
from projects.access import project_for_admin
from projects.models import Project
from train import contest_words as words
from train.contest_forms import ContestForm
from train.contests import stop_contest
from train.models import Contest, Round
from train.power import CORRELATION, POWERS, TIES

A_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
def evaluation(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = ContestForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid() and (contest := form.start(request.user)):
        return redirect(contest)
    page = Paginator(_contests(project), A_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "tab": "evaluation", "page": page, "rows": _rows(list(page))}
    context |= start_context(form) | {"ranking": _ranking(project)}
    return render(request, "train/evaluation.html", context)


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def contest(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    found = get_object_or_404(_contests(project), pk=pk)
    context = {"project": project, "tab": "evaluation"} | shown(found)
    return render(request, fragment(request, "train/contest.html", ("contest",)), context)


@require_POST
def stop(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    found = get_object_or_404(_contests(project), pk=pk)
    stop_contest(found, request.user)
    return redirect(found)


def of_round(round: Round) -> dict[str, Any]:
    """Return what a round's page shows of its blind A/B: the newest against its parent, or the form to start one."""
    newest = _contests(round.project).filter(first=round.policy, second=round.start).first()
    if newest:
        return shown(newest)
    if round.policy is None or round.policy == round.start:  # nothing was trained that would be new
        return {}
    return start_context(ContestForm(round.project, initial={"first": round.policy, "second": round.start}))


def shown(contest: Contest) -> dict[str, Any]:
    """Return what pages show of one contest. Its result is read only when it has ended."""
    context: dict[str, Any] = {"contest": contest}
    if contest.is_under_way:
        return context
    from train.contest_results import outcomes

    outcome = outcomes([contest])[contest.pk]
    return context | {"outcome": outcome, "finding": words.finding_of(contest, outcome)}


def start_context(form: ContestForm) -> dict[str, Any]:
    """Return the form with the power table beside it."""
    assumed = {"powers": POWERS, "ties": round(100 * TIES), "correlation": CORRELATION}
    return {"form": form, "table": form.power_table(), "assumed": assumed}


def _contests(project: Project) -> Any:
    known = Contest.objects.with_progress().filter(project=project)
    return known.select_related("project", "first", "second", "sampling", "stopped_by").order_by("-pk")


def _rows(contests: Sequence[Contest]) -> list[tuple[Contest, str]]:
    """Return each contest with its win rate in words, empty while it is under way."""
    ended = [contest for contest in contests if not contest.is_under_way]
    if not ended:
        return [(contest, "") for contest in contests]
    from train.contest_results import outcomes

    found = outcomes(ended)
    return [(one, words.rate_in_words(found[one.pk].rate) if one.pk in found else "") for one in contests]


def _ranking(project: Project) -> dict[str, Any] | None:
    """Return the policies by the Bradley–Terry model, or None where no contest has ended."""
    if not Contest.objects.ended().filter(project=project).exists():
        return None
    from train.contest_results import rank_policies
    from train.winrates import in_shares

    ranking, judgements = rank_policies(project)
    if ranking.missing:
        return {"missing": ranking.missing}
    names = {policy.pk: str(policy) for policy in Policy.objects.filter(pk__in=ranking.policies)}
    rates = [in_shares(strength) for strength in ranking.strengths]
    rows = sorted(zip(ranking.policies, rates, strict=True), key=lambda row: -(row[1].value or 0))
    return {
        "against": names[ranking.policies[0]],
        "judgements": judgements,
        "rows": [(names[policy], words.rate_in_words(rate) if rate.has_interval else "") for policy, rate in rows],
        "chart": words.ranking_chart(ranking, names, rates),
    }
