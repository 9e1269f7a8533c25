"""The pages of rounds and datasets."""

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Max
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.attempts import cancel, resume
from jobs.http import HtmxRequest, fragment
from projects.access import project_for_admin
from projects.models import Project
from train import contest_views
from train.changes import changes_since
from train.datasets import PARTS, NothingToTrainOn, export, part_file
from train.figures import before_and_after, held_out_accuracy, pair_figures, watch
from train.forms import LaunchForm, in_words, plain
from train.freezing import ask_for_dataset, freeze_later
from train.models import Dataset, Freezing, Round
from train.previews import preview
from train.recipes import RoundSettings
from train.rounds import checkpoint_step
from train.rule_forms import RuleForm

A_PAGE = 25
MOST_DIGITS = 10  # of the seed that draws sample pairs


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def rounds(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    known = project.rounds.select_related("dataset", "start", "policy").order_by("-number")
    page = Paginator(known, A_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "tab": "rounds",
        "page": page,
        "rows": [(round, held_out_accuracy(round)) for round in page],
        "active": any(round.is_active for round in page),
        "next_number": _next_number(project),
        "pairs": pair_figures(project),
    }
    return render(request, fragment(request, "train/rounds.html", ("rounds",)), context)


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request", "HX-Target")
def launch_round(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    pairs, settings = pair_figures(project), request.GET.get("like", "")
    sent = request.POST if request.method == "POST" else None
    form = LaunchForm(project, sent, pairs=pairs.train, settings=settings)
    which = RuleForm(project, sent, rule=form.chosen_rule, offer_datasets=True)
    nothing = ""
    if not _only_counts(request) and which.is_valid() and form.is_valid():
        dataset = which.chosen_dataset()
        try:
            rule = None if dataset else which.rule()
            if round := form.launch(request.user, rule=rule, dataset=dataset):
                return redirect(round)
        except NothingToTrainOn as error:
            nothing = str(error)
    context = {"project": project, "tab": "rounds", "form": form, "nothing": nothing, "pairs": pairs}
    context |= {"next_number": _next_number(project), **_counts(request, which)}
    return render(request, fragment(request, "train/launch.html", ("counts",)), context)


def _only_counts(request: HtmxRequest) -> bool:
    """Whether the page asks what the rule would give, and for nothing to be done."""
    return "count" in request.POST or request.htmx.target == "counts"


def _counts(request: HtmxRequest, which: RuleForm) -> dict[str, Any]:
    """Return what the rule on the page gives now, its dataset where one is chosen, or why it cannot be counted."""
    sent = request.POST.get("count", "")
    draw = int(sent) if sent.isdecimal() and len(sent) < MOST_DIGITS else 0
    context = {"which": which, "next_draw": draw + 1}
    if which.is_bound and not which.is_valid():
        return context | {"cannot": "What is wrong is said at its field."}
    dataset = which.chosen_dataset() if which.is_bound else None
    if dataset:
        return context | {"chosen": dataset}
    try:
        rule = which.rule() if which.is_bound else which.beginning
        return context | {"found": preview(which.project, rule, draw)}
    except NothingToTrainOn as error:
        return context | {"cannot": str(error)}


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def round_page(request: HtmxRequest, slug: str, number: int) -> HttpResponse:
    project, round = _round(request, slug, number)
    compared = before_and_after(round, request.GET.get("page"))
    still = compared and compared.job.is_active and request.GET.get("seen") == str(compared.answered)
    if still and request.htmx.target == "compare":
        return HttpResponse(status=204)  # nothing new: what somebody reads stays as it is
    context = {"project": project, "tab": "rounds", "round": round, "compared": compared}
    if request.htmx.target != "compare":
        settings = asdict(RoundSettings(**round.configuration))
        context |= {
            "watch": watch(round, request.GET.get("against", "")),
            "settings": settings,
            "accuracy": held_out_accuracy(round),
        }
        context |= {"beta": plain(settings["beta"]), "learning_rate": plain(settings["learning_rate"])}
        context |= {"other_settings": in_words(settings), "checkpoint": checkpoint_step(round)}
        context |= contest_views.of_round(round)
    return render(request, fragment(request, "train/round.html", ("live", "compare")), context)


@require_POST
def cancel_round(request: HtmxRequest, slug: str, number: int) -> HttpResponse:
    _, round = _round(request, slug, number)
    cancel(round)
    return redirect(round)


@require_POST
def resume_round(request: HtmxRequest, slug: str, number: int) -> HttpResponse:
    _, round = _round(request, slug, number)
    resume(round)
    return redirect(round)


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def datasets(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    known = project.datasets.select_related("freezing").order_by("-number")
    page = Paginator(known, A_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "tab": "datasets", "page": page, "pairs": pair_figures(project)}
    changes = changes_since(project, list(page))
    rows = [(dataset, _freezing(dataset), changes.get(dataset.pk, 0)) for dataset in page]
    context |= {"rows": rows, "active": any(job and job.is_active for _, job, _ in rows)}
    return render(request, fragment(request, "train/datasets.html", ("datasets",)), context)


def _freezing(dataset: Dataset) -> Freezing | None:
    return getattr(dataset, "freezing", None)


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request", "HX-Target")
def freeze_dataset(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    which = RuleForm(project, request.POST if request.method == "POST" else None)
    nothing = ""
    if not _only_counts(request) and which.is_valid():
        try:
            dataset = ask_for_dataset(project, which.rule(), request.user)
        except NothingToTrainOn as error:
            nothing = str(error)
        else:
            known = "holds just this already" if dataset.frozen_at else "is being frozen"
            messages.success(request, f"Dataset {dataset.number} {known}.")
            return redirect("datasets", slug)
    context = {"project": project, "tab": "datasets", "nothing": nothing, **_counts(request, which)}
    return render(request, fragment(request, "train/freeze.html", ("counts",)), context)


@require_POST
def freeze_again(request: HtmxRequest, slug: str, number: int) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    dataset: Dataset = get_object_or_404(project.datasets, number=number)
    if not dataset.frozen_at:
        freeze_later(dataset, request.user)
    return redirect("datasets", slug)


@require_safe
def download_dataset(request: HtmxRequest, slug: str, number: int, part: str) -> StreamingHttpResponse:
    project = project_for_admin(request.user, slug)
    dataset: Dataset = get_object_or_404(project.datasets, number=number)
    if part not in PARTS or not dataset.frozen_at:
        raise Http404("There is no such part, or the dataset is not frozen yet.")
    if not part_file(dataset, part).exists():
        raise Http404(f"The file of {dataset} is gone from the data folder.")
    name = f"{project.slug}-dataset-{number}-{part.replace('_', '-')}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export(dataset, part), content_type="application/jsonl", headers=headers)


def _round(request: HtmxRequest, slug: str, number: int) -> tuple[Project, Round]:
    project = project_for_admin(request.user, slug)
    known = project.rounds.select_related(
        "project", "dataset", "start", "reference", "policy", "before_and_after", "created_by"
    )
    round: Round = get_object_or_404(known, number=number)
    return project, round


def _next_number(project: Project) -> int:
    most: int | None = project.rounds.aggregate(most=Max("number"))["most"]
    return (most or 0) + 1
