"""The pages of rounds and datasets."""

from dataclasses import asdict

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
from train.datasets import PARTS, NothingToTrainOn, current_dataset, export, part_file
from train.figures import before_and_after, held_out_accuracy, pair_figures, watch
from train.forms import LaunchForm, in_words, plain
from train.models import Dataset, Round
from train.recipes import RoundSettings
from train.rounds import checkpoint_step
from train.rules import Rule, Settlements

A_PAGE = 25


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
def launch_round(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    pairs, settings = pair_figures(project), request.GET.get("like", "")
    form = LaunchForm(project, request.POST if request.method == "POST" else None, pairs=pairs.train, settings=settings)
    nothing = ""
    if form.is_valid():
        try:
            if round := form.launch(request.user):
                return redirect(round)
        except NothingToTrainOn as error:
            nothing = str(error)
    context = {"project": project, "tab": "rounds", "form": form, "nothing": nothing}
    context |= {"pairs": pairs, "next_number": _next_number(project)}
    return render(request, "train/launch.html", context)


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
def datasets(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    page = Paginator(project.datasets.order_by("-number"), A_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "tab": "datasets", "page": page, "pairs": pair_figures(project)}
    context["settlements"] = Settlements.choices
    return render(request, "train/datasets.html", context)


@require_POST
def freeze_dataset(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    try:
        aside = request.POST.get("settlements") == Settlements.ASIDE
        rule = Rule(settlements=Settlements.ASIDE if aside else Settlements.WIN)
        dataset = current_dataset(project, request.user, rule)
    except NothingToTrainOn as error:
        messages.warning(request, str(error))
    else:
        pairs = f"{dataset.train_pairs:,} pairs to train on, {dataset.held_out_pairs:,} held out"
        messages.success(request, f"Dataset {dataset.number} holds all that is judged by now: {pairs}.")
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
