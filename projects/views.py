"""The pages of a project's prompts and settings, and of a new project."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from jobs.http import HtmxRequest, fragment
from projects.access import project_for_admin, require_operator
from projects.forms import ProjectForm, PromptFileForm, PromptFilterForm, SettingsForm, TypedPromptsForm
from projects.models import Project, Prompt

A_PAGE = 25
LAST_IMPORTS = 5


@require_http_methods(["GET", "HEAD", "POST"])
def new_project(request: HtmxRequest) -> HttpResponse:
    require_operator(request.user)
    form = ProjectForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("prompts", form.create().slug)
    return render(request, "projects/new.html", {"form": form})


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def prompts(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    return _prompts_page(request, project, TypedPromptsForm(), PromptFileForm())


@require_POST
def import_prompts(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    is_file = request.POST.get("kind") == "file"
    typed = TypedPromptsForm(None if is_file else request.POST)
    file = PromptFileForm(request.POST, request.FILES) if is_file else PromptFileForm()
    form = file if is_file else typed
    if form.is_valid() and form.start_import(project, request.user):
        return redirect("prompts", slug)
    return _prompts_page(request, project, typed, file)


def _prompts_page(
    request: HtmxRequest, project: Project, typed: TypedPromptsForm, file: PromptFileForm
) -> HttpResponse:
    filters = PromptFilterForm(request.GET)
    page = Paginator(filters.prompts(project), A_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "tab": "prompts",
        "typed": typed,
        "file": file,
        "filters": filters,
        "page": page,
        "rows": with_answers(page),
        **newest_imports(project),
    }
    return render(request, fragment(request, "projects/prompts.html", ("listed",)), context)


def newest_imports(project: Project) -> dict[str, Any]:
    """Return what the page of prompts shows of its imports. One query."""
    imports = list(project.imports.order_by("-pk")[: LAST_IMPORTS + 1])
    return {
        "imports": imports[:LAST_IMPORTS],
        "more_imports": len(imports) > LAST_IMPORTS,
        "active": any(job.is_active for job in imports),
    }


def with_answers(prompts: Iterable[Prompt]) -> list[tuple[Prompt, int]]:
    """Return each prompt with the number of answers it has. One query, for these prompts alone."""
    prompts = list(prompts)
    # Completions are of an app above this one: they are known here by their name only.
    counted = Prompt.objects.filter(pk__in=[prompt.pk for prompt in prompts]).annotate(
        answers=Count("completions", filter=Q(completions__damage=None))
    )
    answers = dict(counted.values_list("pk", "answers"))
    return [(prompt, answers.get(prompt.pk, 0)) for prompt in prompts]


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def prompt_imports(request: HtmxRequest, slug: str) -> HttpResponse:
    """All imports; for htmx the newest alone, as the page of prompts shows them while they run."""
    project = project_for_admin(request.user, slug)
    if request.htmx.target != "imports":
        page = Paginator(project.imports.order_by("-pk"), A_PAGE).get_page(request.GET.get("page"))
        return render(request, "projects/imports.html", {"project": project, "tab": "prompts", "page": page})
    newest = newest_imports(project)
    response = render(request, "projects/prompts.html#imports", {"project": project, **newest})
    return response if newest["active"] else trigger_client_event(response, "imported")


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    form = SettingsForm(request.POST if request.method == "POST" else None, project)
    if form.is_valid():
        version = form.apply()
        messages.success(request, f"Saved. The guidelines are version {version} now." if version else "Saved.")
        return redirect("settings", slug)
    # The form has put what was typed on its instance: the strip shows what is saved.
    saved = Project.objects.get(pk=project.pk) if form.errors else project
    context = {"project": saved, "tab": "settings", "form": form, "guidelines": form.current}
    return render(request, "projects/settings.html", context)
