"""The pages of sampling jobs and of policies."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from generation.forms import RegisterForm, SamplingForm
from generation.models import Completion, Policy, Registration, SamplingItem, SamplingJob
from jobs.attempts import cancel, resume
from jobs.http import HtmxRequest, fragment
from projects.access import project_for_admin, require_operator
from projects.models import Project

A_PAGE = 25
LARGEST_ID = 2**63 - 1  # of a row; Django does not check it where the key is another table's
ITEMS_A_PAGE = 10  # prompts, each with all its answers


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request", "HX-Target")
def sampling(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    if request.method == "POST":
        form = SamplingForm(project, request.POST)
        if form.is_valid():
            return redirect(form.launch(request.user))
    elif request.htmx.target == "plan":
        form = SamplingForm(project, request.GET)
        form.is_valid()
    else:
        chosen = {"policy": request.GET["policy"]} if "policy" in request.GET else {}
        form = SamplingForm(project, initial=chosen)
    jobs = Paginator(project.sampling_jobs.order_by("-pk"), A_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "tab": "sampling", "form": form, "plan": form.plan(), "page": jobs}
    context["active"] = any(job.is_active for job in jobs)
    return render(request, fragment(request, "generation/sampling.html", ("plan", "jobs")), context)


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def sampling_job(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    project, job = _job(request, slug, pk)
    items = _page_of_items(job, request.GET.get("page"))
    answered = sum(item.status != SamplingItem.Status.PENDING for item in items)
    if job.is_active and request.htmx.target == "answers" and request.GET.get("seen") == str(answered):
        return HttpResponse(status=204)  # nothing new: what somebody reads stays as it is
    context = {
        "project": project,
        "tab": "sampling",
        "job": job,
        "policies": Policy.objects.filter(pk__in=job.items.values("policy")).select_related("base"),
        "failed": job.items.filter(status=SamplingItem.Status.FAILED).count(),
        "page": items,
        "answered": answered,
    }
    return render(request, fragment(request, "generation/sampling_job.html", ("state", "answers")), context)


def _page_of_items(job: SamplingJob, number: str | None) -> "Page[SamplingItem]":
    completions = Prefetch("completions", Completion.objects.order_by("index"))
    items = job.items.select_related("prompt", "policy").prefetch_related(completions).order_by("prompt", "position")
    return Paginator(items, ITEMS_A_PAGE).get_page(number)


@require_POST
def cancel_sampling(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    _, job = _job(request, slug, pk)
    cancel(job)
    return redirect(job)


@require_POST
def resume_sampling(request: HtmxRequest, slug: str, pk: int) -> HttpResponse:
    _, job = _job(request, slug, pk)
    resume(job)
    return redirect(job)


@require_safe
def policies(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    page = Paginator(_policies_of(project), A_PAGE).get_page(request.GET.get("page"))
    return render(request, "generation/policies.html", {"project": project, "tab": "policies", "page": page})


def _policies_of(project: Project) -> "QuerySet[Policy]":
    """Return base models and what this project's rounds made, with the answers that each gave in this project."""
    answers = Count("completions", filter=Q(completions__prompt__project=project))
    known = Policy.objects.filter(Q(project=project) | Q(project=None))
    # `made_by` are the rounds, of an app above this one: the page links to them.
    return known.annotate(answers=answers).select_related("base", "parent").prefetch_related("made_by").order_by("-pk")


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request", "HX-Target")
def register_policy(request: HtmxRequest) -> HttpResponse:
    require_operator(request.user)
    form = RegisterForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and form.register(request.user):
        return redirect("register_policy")
    registrations = Registration.objects.select_related("policy").order_by("-pk")
    page = Paginator(registrations, A_PAGE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {"form": form, "page": page, "active": any(job.is_active for job in page)}
    return render(request, fragment(request, "generation/register_policy.html", ("registrations",)), context)


def _job(request: HtmxRequest, slug: str, pk: int) -> tuple[Project, SamplingJob]:
    project = project_for_admin(request.user, slug)
    if pk > LARGEST_ID:
        raise Http404("No sampling job has such a number.")
    job: SamplingJob = get_object_or_404(project.sampling_jobs.select_related("project"), pk=pk)
    return project, job
