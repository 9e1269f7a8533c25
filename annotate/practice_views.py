"""The annotators' practice: a comparison, what the admins said of it, and the end."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotate import practice
from annotate.blind import Seen, answers, earlier, seal
from annotate.checks import says_the_same
from annotate.forms import ChoiceForm
from annotate.judging import in_words
from annotate.models import Comparison, Practised, Revision
from annotate.queue import order_for
from annotate.review import settlement
from jobs.http import HtmxRequest
from projects.access import has_role, is_admin, project_for_member
from projects.models import Membership, Project


@require_safe
@never_cache
def practise(request: HtmxRequest, slug: str) -> HttpResponse:
    """The next comparison to practise on, or that practice is done."""
    project = project_for_member(request.user, slug)
    return _page(request, project)


def _page(request: HtmxRequest, project: Project, error: str = "") -> HttpResponse:
    comparisons = practice.practice_of(project)
    to_do = practice.left(practice.seat_of(request.user, project), comparisons)
    if not to_do:
        return _done(request, project, bool(comparisons))
    comparison = to_do[0]
    shown = order_for(request.user, comparison)
    context = {
        "project": project,
        "practice": {"number": len(comparisons) - len(to_do) + 1, "of": len(comparisons), "error": error},
        "comparison": comparison.pk,
        "prompt": comparison.prompt,
        "earlier": earlier(comparison.prompt),
        "answers": answers(comparison, shown),
        "seen": seal(request.user, comparison, Seen(shown, None, None)),
        "client_key": uuid.uuid4(),
        "guidelines": project.guidelines(),
        "is_admin": is_admin(request.user, project),
        "is_member": has_role(request.user, project, *Membership.Role.values),
    }
    return render(request, "annotate/judge.html", context)


def _done(request: HtmxRequest, project: Project, anything: bool) -> HttpResponse:
    said = practice.this_run(practice.seat_of(request.user, project))
    context = {
        "project": project,
        "anything": anything,
        "said": said.count(),
        "agreed": said.filter(agreed=True).count(),
    }
    return render(request, "annotate/practice_done.html", context)


@require_POST
def say(request: HtmxRequest, slug: str, comparison: int) -> HttpResponse:
    project = project_for_member(request.user, slug)
    found = get_object_or_404(project.comparisons, pk=comparison, purpose=Comparison.Purpose.PRACTICE)
    form = ChoiceForm(request.POST, person=request.user, comparison=found)
    if not form.is_valid():
        return _page(request, project, next(str(error) for errors in form.errors.values() for error in errors))
    practice.say(request.user, found, form.cleaned_data["said"], form.cleaned_data["seen"].shown)
    return redirect("practice_feedback", slug, comparison)


@require_safe
@never_cache
def feedback(request: HtmxRequest, slug: str, comparison: int) -> HttpResponse:
    """What the person said last of this comparison, what the admins say, and why."""
    project = project_for_member(request.user, slug)
    said = Practised.objects.filter(person=request.user, comparison=comparison, comparison__project=project)
    last = said.select_related("comparison__prompt").order_by("-run").first()
    if last is None:
        return redirect("practice", slug)
    expected = settlement(last.comparison)
    mine = Revision(kind=last.kind, tiers=last.tiers, unordered=last.unordered, shown=last.shown)
    if expected:
        expected.shown = last.shown  # told in the numbers that this person saw
    context = {
        "project": project,
        "prompt": last.comparison.prompt,
        "earlier": earlier(last.comparison.prompt),
        "answers": answers(last.comparison, last.shown),
        "said": in_words(mine),
        "expected": expected,
        "expected_words": in_words(expected) if expected else "",
        "same": expected is not None and says_the_same(mine, expected),
        "passed": last.kind in (Revision.Kind.SKIPPED, Revision.Kind.FLAGGED),
    }
    return render(request, "annotate/practice_feedback.html", context)


@require_POST
def again(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    practice.start_again(request.user, project)
    return redirect("practice", slug)
