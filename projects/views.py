"""The pages of a project's prompts, people and settings."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from jobs.http import HtmxRequest, fragment
from projects.access import project_for_admin, require_operator
from projects.forms import (
    AddPersonForm,
    ProjectForm,
    PromptFileForm,
    PromptFilterForm,
    RoleForm,
    SettingsForm,
    TypedPromptsForm,
)
from projects.models import Membership, Project, Prompt
from projects.people import Refused, change_role, members, remove

A_PAGE = 25
LAST_IMPORTS = 5
LATELY = timedelta(hours=24)


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
    counted = Prompt.objects.filter(pk__in=[prompt.pk for prompt in prompts]).annotate(answers=Count("completions"))
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


def _people_page(request: HtmxRequest, project: Project, form: AddPersonForm, **context: str) -> HttpResponse:
    page = Paginator(members(project, Now() - LATELY), A_PAGE).get_page(request.GET.get("page"))
    return render(
        request, "projects/people.html", {"project": project, "tab": "people", "form": form, "page": page, **context}
    )


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
