"""The annotators' pages."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotate import checks, judging, practice, queue
from annotate.blind import Seen, answers, earlier, seal
from annotate.edits import LONGEST_EDIT, own_text
from annotate.forms import ChoiceForm, OnHandForm, StartForm, SubmitForm
from annotate.models import Comparison, Judgement, Lease, Revision, Seat
from annotate.reading import Reading, begin, project_to_judge
from jobs.http import HtmxRequest, zone_of
from projects.access import has_role, is_admin, project_for_member
from projects.models import Guidelines, Membership, Project

A_PAGE = 20


@dataclass
class Said:
    """What the page says of the last submit: a note or an error, and the ranking that the error is about."""

    note: str = ""
    error: str = ""
    ranking: str = ""
    revision: Revision | None = None


@require_safe
@never_cache
def judge(request: HtmxRequest, slug: str) -> HttpResponse:
    project, read = _opened(request, slug)
    if read.out_of_date:
        return _start(request, project)
    if not is_admin(request.user, project) and practice.comes_first(request.user, project):
        return redirect("practice", slug)
    return _page(request, project, read)


@require_POST
def start(request: HtmxRequest, slug: str) -> HttpResponse:
    """The guidelines are read, the content warning is agreed to: those that the page showed, if they still hold."""
    project = project_for_member(request.user, slug)
    newest = project.guidelines()
    version = newest.version if newest else None
    form = StartForm(request.POST)
    if not form.is_valid() or form.cleaned_data != {"guidelines": version, "warning": project.content_warning}:
        return _start(request, project, changed=True)
    begin(request.user, project, version)
    return redirect("judge", slug)


@require_safe
@never_cache
def upcoming(request: HtmxRequest, slug: str) -> HttpResponse:
    """What comes after the comparisons that the page has on hand; nothing (204) when there is none, or no room."""
    project, read = _opened(request, slug)
    if read.out_of_date:
        return _told(HttpResponse(status=204), read)
    on_hand = _on_hand(request.GET)
    if (lease := queue.next_lease(request.user, project, **on_hand)) is None and on_hand["have"]:
        return HttpResponse(status=204)
    context = _leased(request, project, read, lease) if lease else _nothing(request, project)
    return render(request, "annotate/judge.html#sheet", {"project": project, **context})


@require_POST
def submit(request: HtmxRequest, slug: str, comparison: int) -> HttpResponse:
    project, read = _opened(request, slug)
    judged = Comparison(pk=comparison, project=project)  # nothing is asked of the database before its row is locked
    form = ChoiceForm(request.POST, person=request.user, comparison=judged)
    if not form.is_valid():
        judged = get_object_or_404(project.comparisons.exclude(purpose=Comparison.Purpose.PRACTICE), pk=comparison)
        return _editor_again(request, project, form, judged) or _refused(request, project, read, form)
    goes_on = _by_script(request) and not read.out_of_date
    with transaction.atomic():
        revision = _record(request.user, judged, form)
        # In the same transaction, as it is one write to the disk then.
        on_hand = _on_hand(request.POST)
        lease = queue.go_on(request.user, project, **on_hand) if goes_on else None
    if goes_on:
        lease = lease or queue.next_lease(request.user, project, **on_hand)
    if _by_script(request):
        return _told(_reply(request, project, read, lease, Said(revision=revision)), read)
    return redirect("mine" if "again" in request.POST else "judge", slug)


def _record(person: User, judged: Comparison, form: ChoiceForm) -> Revision:
    seen = form.cleaned_data["seen"]
    try:
        return judging.record(
            person,
            judged,
            form.cleaned_data["said"],
            shown=seen.shown,
            opened_at=seen.opened_at,
            guidelines=seen.guidelines,
            seconds=form.cleaned_data.get("seconds"),
            client_key=form.cleaned_data["client_key"],
        )
    except Comparison.DoesNotExist as error:
        raise Http404 from error


@require_POST
def take_back(request: HtmxRequest, slug: str) -> HttpResponse:
    project, read = _opened(request, slug)
    form = SubmitForm(request.POST)
    if not form.is_valid():
        return _refused(request, project, read, form)
    lease = judging.take_back(request.user, project, form.cleaned_data["client_key"])
    said = Said(note="Taken back: choose again." if lease else "There is nothing to take back.")
    if _by_script(request):
        return _told(_reply(request, project, read, None if read.out_of_date else lease, said), read)
    messages.info(request, said.note)
    return redirect("judge", slug)


@require_POST
def stay(request: HtmxRequest, slug: str) -> HttpResponse:
    """The page is still in sight: what it has on hand stays this person's."""
    queue.stay(request.user, project_for_member(request.user, slug), **_on_hand(request.POST))
    return HttpResponse(status=204)


@require_POST
def leave(request: HtmxRequest, slug: str) -> HttpResponse:
    """The page was left: somebody else can have what lay there."""
    queue.leave(request.user, project_for_member(request.user, slug), _on_hand(request.POST)["visit"])
    return HttpResponse(status=204)


@require_safe
@never_cache
def mine(request: HtmxRequest, slug: str) -> HttpResponse:
    """A person's own last judgements, each to be looked at and changed."""
    project = project_for_member(request.user, slug)
    said = judging.standing(request.user, project).select_related("judgement__comparison__prompt", "edit")
    page = Paginator(said, A_PAGE).get_page(request.GET.get("page"))
    rows = [(revision, judging.in_words(revision)) for revision in page]
    practice_of = practice.practice_of(project)
    context = {"project": project, "page": page, "rows": rows, "practice": len(practice_of)}
    return render(request, "annotate/mine.html", context)


@require_safe
@never_cache
def again(request: HtmxRequest, slug: str, comparison: int) -> HttpResponse:
    """One of a person's own judgements, to be changed."""
    project = project_for_member(request.user, slug)
    known = Judgement.objects.votes().filter(person=request.user, comparison__project=project)
    judgement = get_object_or_404(
        known.select_related("comparison__prompt", "current").exclude(current=None), comparison=comparison
    )
    before = judgement.current
    assert before is not None
    seen = Seen(before.shown, before.opened_at, _guidelines_id(project))
    context = _seen(request, project, judgement.comparison, seen) | {
        "project": project,
        "again": before,
        "said_before": judging.in_words(before),
        "pressed": _pressed(before),
        "ranking": _ranking_line(before),
        "guidelines": project.guidelines(),
        **_part(request, project),
    }
    return render(request, "annotate/judge.html", context)


@require_safe
@never_cache
def edit(request: HtmxRequest, slug: str, comparison: int, of: int) -> HttpResponse:
    """A plain form for a better answer than those shown; judge.js has an editor on its page instead."""
    project, read = _opened(request, slug)
    found = get_object_or_404(project.comparisons.select_related("prompt"), pk=comparison)
    seen, again = _seen_before(request, project, read, found)
    if seen is None or not project.edits or of > found.slots:
        raise Http404
    context = _seen(request, project, found, seen) | {"again": again}
    own = context["own"]
    original = context["answers"][of - 1].text if of else ""
    return _editor(request, project, context, of, own.text if own and own.of == of else original)


def _seen_before(
    request: HtmxRequest, project: Project, read: Reading, comparison: Comparison
) -> tuple[Seen | None, bool]:
    """Return what this person sees, or saw, of a comparison, and whether they have judged it before."""
    if lease := Lease.objects.filter(person=request.user, comparison=comparison).first():
        return Seen(lease.shown, lease.opened_at, read.guidelines), False
    said = Judgement.objects.votes().filter(person=request.user, comparison=comparison).select_related("current")
    if (judgement := said.first()) and judgement.current:
        return Seen(judgement.current.shown, judgement.current.opened_at, _guidelines_id(project)), True
    return None, False


def _editor(
    request: HtmxRequest, project: Project, context: dict[str, Any], of: int, text: str, error: str = ""
) -> HttpResponse:
    context |= {"project": project, "of": of, "text": text, "error": error, "longest": LONGEST_EDIT}
    return render(request, "annotate/edit.html", context)


@require_safe
def guidelines(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    return render(request, "annotate/guidelines.html", {"project": project, "guidelines": project.guidelines()})


def _by_script(request: HttpRequest) -> bool:
    """Whether judge.js asks, which puts parts of the page in place; else it is a plain form."""
    return request.headers.get("X-Requested-With") == "judge.js"


def _on_hand(data: Any) -> dict[str, Any]:
    """Return `have` and `visit`, as the functions of the queue take them; what does not fit is passed over."""
    form = OnHandForm(data)
    form.is_valid()
    return {"have": form.cleaned_data.get("have", []), "visit": form.cleaned_data.get("visit", "")}


def _guidelines_id(project: Project) -> int | None:
    newest = project.guidelines()
    return newest.pk if newest else None


def _opened(request: HtmxRequest, slug: str) -> tuple[Project, Reading]:
    """Return the project and what this person has read; judge.js says which guidelines its page shows, maybe older."""
    return project_to_judge(request.user, slug, request.headers.get("X-Guidelines"))


def _told(response: HttpResponse, read: Reading) -> HttpResponse:
    """Let judge.js load the page anew, where there is something to read first, once it has sent all it has."""
    if read.out_of_date:
        response["X-Read-Again"] = "yes"
    return response


def _start(request: HtmxRequest, project: Project, changed: bool = False) -> HttpResponse:
    """Render what is to be read first; `changed` while this person was reading it."""
    seat = Seat.objects.filter(person=request.user, project=project).first() or Seat()
    context = {
        "project": project,
        "guidelines": project.guidelines(),
        "read_before": seat.guidelines_read,
        "changed": changed or seat.guidelines_read,
    }
    return render(request, "annotate/start.html", context)


def _page(request: HtmxRequest, project: Project, read: Reading, said: Said | None = None) -> HttpResponse:
    """Render the whole page with what lies before this person now."""
    visit = uuid.uuid4().hex
    lease = queue.next_lease(request.user, project, visit=visit)
    context = {
        **_about(request, project, said or Said()),
        **(_leased(request, project, read, lease) if lease else _nothing(request, project)),
        "visit": visit,
        "guidelines": Guidelines.objects.get(pk=read.guidelines) if read.guidelines else None,
        **_part(request, project),
    }
    return render(request, "annotate/judge.html", context)


def _part(request: HtmxRequest, project: Project) -> dict[str, bool]:
    """Say what this person's sheet offers them: the project's home, and leaving."""
    member = has_role(request.user, project, *Membership.Role.values)
    return {"is_admin": is_admin(request.user, project), "is_member": member}


def _reply(request: HtmxRequest, project: Project, read: Reading, lease: Lease | None, said: Said) -> HttpResponse:
    """Render what judge.js puts in place: the receipt, the tally, and the comparison that comes next."""
    context = _about(request, project, said)
    if lease:
        context |= _leased(request, project, read, lease)
    elif read.out_of_date or _on_hand(request.POST)["have"]:
        context["nothing_more"] = True
    else:
        context |= _nothing(request, project)
    return render(request, "annotate/judge.html#reply", context)


def _refused(request: HtmxRequest, project: Project, read: Reading, form: SubmitForm) -> HttpResponse:
    error = next(str(error) for errors in form.errors.values() for error in errors)
    said = Said(error=error, ranking=form.data.get("ranking", ""))
    if _by_script(request):
        lease = queue.next_lease(request.user, project, visit=_on_hand(request.POST)["visit"])
        response = _reply(request, project, read, lease, said)
        response.status_code = 422
        return response
    return _page(request, project, read, said)


def _editor_again(
    request: HtmxRequest, project: Project, form: ChoiceForm, comparison: Comparison
) -> HttpResponse | None:
    """Return the plain form of an edit with what was typed in it; None where something else was refused."""
    seen, of = form.cleaned_data.get("seen"), form.data.get("edit_of", "")
    if _by_script(request) or form.data.get("choice") != "edit" or not project.edits or not isinstance(seen, Seen):
        return None
    if of not in form.numbers(seen.shown):
        return None
    error = next(str(error) for errors in form.errors.values() for error in errors)
    context = _seen(request, project, comparison, seen)
    context |= {name: form.data.get(name, "") for name in ("again", "ranking", "reason")}
    return _editor(request, project, context, int(of), form.data.get("edit", ""), error)


def _about(request: HtmxRequest, project: Project, said: Said) -> dict[str, Any]:
    judged, left = judging.tally(request.user, project, _midnight(request))
    return {
        "project": project,
        "said": said,
        "ranking": said.ranking,
        "today": judged,
        "left": checks.told_left(project, left),
        "most_counted": queue.MOST_COUNTED,
        "receipt": _receipt(said.revision or judging.last_said(request.user, project)),
        "take_back_key": uuid.uuid4(),
    }


def _leased(request: HtmxRequest, project: Project, read: Reading, lease: Lease) -> dict[str, Any]:
    seen = Seen(lease.shown, lease.opened_at, read.guidelines)
    return _seen(request, project, lease.comparison, seen)


def _seen(request: HtmxRequest, project: Project, comparison: Comparison, seen: Seen) -> dict[str, Any]:
    return {
        "own": own_text(request.user, comparison, seen.shown) if project.edits else None,
        "comparison": comparison.pk,
        "prompt": comparison.prompt,
        "earlier": earlier(comparison.prompt),
        "answers": answers(comparison, seen.shown),
        "seen": seal(request.user, comparison, seen),
        "client_key": uuid.uuid4(),
    }


def _nothing(request: HtmxRequest, project: Project) -> dict[str, Any]:
    return {
        "left": 0,
        "anything": project.comparisons.exists(),
        "coming": queue.prompts_coming(project),
        "with_others": queue.held_by_others(request.user, project),
        "is_admin": is_admin(request.user, project),
    }


def _receipt(last: Revision | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "moment": last.submitted_at,
        "said": judging.in_words(last),
        "late": last.late,
        "replaced": judging.replaces_a_judgement(last),
    }


def _pressed(before: Revision) -> str:
    """Return the value of the button that said this."""
    if before.edit_id:
        return "edit"
    if before.kind == Revision.Kind.RANKED:
        if len(before.tiers) == 1:
            return "tie"
        return str(before.shown.index(before.tiers[0][0]) + 1)
    return {Revision.Kind.BOTH_BAD: "bad", Revision.Kind.SKIPPED: "skip", Revision.Kind.FLAGGED: "flag"}.get(
        Revision.Kind(before.kind), ""
    )


def _ranking_line(before: Revision) -> str:
    """Return a ranking as the page's field takes it."""
    if before.kind != Revision.Kind.RANKED or before.unordered:
        return ""
    places = ["=".join(str(before.shown.index(slot) + 1) for slot in tier) for tier in before.tiers]
    return ">".join(places)


def _midnight(request: HttpRequest) -> datetime:
    """Return when the person's day began."""
    today = datetime.now(zone_of(request)).replace(hour=0, minute=0, second=0, microsecond=0)
    return today.astimezone(UTC)
