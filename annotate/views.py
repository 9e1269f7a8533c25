"""The annotators' pages."""

import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from annotate import judging
from annotate.blind import answers, earlier, seal
from annotate.forms import ChoiceForm, SubmitForm
from annotate.models import Judgement, Lease
from annotate.queue import held_by_others, left_for, next_lease, prompts_coming
from jobs.http import HtmxRequest
from projects.access import is_admin, project_for_member
from projects.models import Project


@require_safe
@never_cache
@vary_on_headers("HX-Request")
def judge(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    if not request.htmx and _is_new(request, project):
        return render(request, "annotate/start.html", {"project": project, "guidelines": project.guidelines()})
    return _comparison(request, project)


@require_POST
def submit(request: HtmxRequest, slug: str, comparison: int) -> HttpResponse:
    project = project_for_member(request.user, slug)
    judged = get_object_or_404(project.comparisons, pk=comparison)
    form = ChoiceForm(request.POST, person=request.user, comparison=judged)
    if not form.is_valid():
        return _comparison(request, project, error=_first_error(form), ranking=form.data.get("ranking", ""))
    said, seen = form.cleaned_data["said"], form.cleaned_data["seen"]
    key = form.cleaned_data["client_key"]
    judging.record(request.user, judged, said, shown=seen.shown, opened_at=seen.opened_at, client_key=key)
    return _comparison(request, project) if request.htmx else redirect("judge", slug)


@require_POST
def take_back(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    form = SubmitForm(request.POST)
    if not form.is_valid():
        return _comparison(request, project, error=_first_error(form))
    lease = judging.take_back(request.user, project, form.cleaned_data["client_key"])
    note = "Taken back: choose again." if lease else "There is nothing to take back."
    if request.htmx:
        return _comparison(request, project, note=note)
    messages.info(request, note)
    return redirect("judge", slug)


@require_safe
def guidelines(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    return render(request, "annotate/guidelines.html", {"project": project, "guidelines": project.guidelines()})


def _is_new(request: HtmxRequest, project: Project) -> bool:
    """Whether this person has the guidelines still to read; pressing start, or a judgement, settles it."""
    read = f"guidelines-read-{project.pk}"
    if request.session.get(read):
        return False
    judged = Judgement.objects.filter(person=request.user, comparison__project=project)
    if "start" in request.GET or judged.exists() or not project.guidelines():
        request.session[read] = True
        return False
    return True


def _comparison(request: HtmxRequest, project: Project, **said: str) -> HttpResponse:
    """Render what lies before this person now; `said` holds a note, an error, or the ranking it is about."""
    lease = next_lease(request.user, project)
    context = {
        "project": project,
        "today": judging.judged_since(request.user, project, _midnight(request)),
        "left": left_for(request.user, project),
        "receipt": _receipt(request, project),
        "take_back_key": uuid.uuid4(),
        **(_seen(lease) if lease else _nothing(request, project)),
        **said,
    }
    if request.htmx:
        return render(request, "annotate/judge.html#work", context)
    context |= {"guidelines": project.guidelines(), "is_admin": is_admin(request.user, project)}
    return render(request, "annotate/judge.html", context)


def _seen(lease: Lease) -> dict[str, Any]:
    return {
        "comparison": lease.comparison_id,
        "prompt": lease.comparison.prompt,
        "earlier": earlier(lease.comparison.prompt),
        "answers": answers(lease),
        "seen": seal(lease),
        "client_key": uuid.uuid4(),
    }


def _nothing(request: HtmxRequest, project: Project) -> dict[str, Any]:
    return {
        "anything": project.comparisons.exists(),
        "coming": prompts_coming(project),
        "with_others": held_by_others(request.user, project),
        "is_admin": is_admin(request.user, project),
    }


def _receipt(request: HtmxRequest, project: Project) -> dict[str, Any] | None:
    last = judging.last_judgement(request.user, project)
    if last is None or last.current is None:
        return None
    return {
        "moment": last.current.submitted_at,
        "said": judging.in_words(last.current),
        "late": last.current.late,
        "replaced": judging.replaces_a_judgement(last.current),
    }


def _midnight(request: HttpRequest) -> datetime:
    """Return when the person's day began, in the time zone that their browser names (static/judge.js)."""
    try:
        zone = ZoneInfo(request.COOKIES.get("timezone", "UTC"))
    except (KeyError, ValueError, OSError):  # no such zone, or no name of one
        return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _first_error(form: SubmitForm) -> str:
    return next(str(error) for errors in form.errors.values() for error in errors)
