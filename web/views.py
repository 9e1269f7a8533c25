"""The pages that belong to no single part of the loop: signing in, the projects, and a project's home."""

from django.contrib.auth import views as auth
from django.contrib.messages.views import SuccessMessageMixin
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.http import HtmxRequest, fragment
from projects.access import is_admin, project_for_member
from projects.models import Project
from train.figures import held_out_accuracy
from web.forms import NewPasswordForm, SignInForm
from web.home import alerts, entries, loop_of, next_step

A_PAGE = 25
LAST_ROUNDS = 5


class SignIn(auth.LoginView):
    authentication_form = SignInForm
    redirect_authenticated_user = True


class ChangePassword(SuccessMessageMixin, auth.PasswordChangeView):
    form_class = NewPasswordForm
    template_name = "registration/password_change.html"
    success_url = reverse_lazy("home")
    success_message = "Your password is changed. Other browsers must sign in again."


@require_safe
def home(request: HtmxRequest) -> HttpResponse:
    projects = Project.objects.visible_to(request.user).order_by("name")
    page = Paginator(projects, A_PAGE).get_page(request.GET.get("page"))
    return render(request, "web/home.html", {"page": page, "entries": entries(request.user, page)})


@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def project(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_member(request.user, slug)
    if not is_admin(request.user, project):
        return redirect("judge", slug)
    loop = loop_of(project, request.user)
    context = {
        "project": project,
        "tab": "home",
        "loop": loop,
        "step": next_step(loop),
        "alerts": alerts(loop.jobs),
        "rounds": last_rounds(project),
    }
    return render(request, fragment(request, "web/project.html", ("loop",)), context)


def last_rounds(project: Project) -> list[tuple[object, str]]:
    """Return the newest rounds, each with its held-out accuracy."""
    rounds = project.rounds.select_related("dataset", "start").order_by("-number")[:LAST_ROUNDS]
    return [(round, held_out_accuracy(round)) for round in rounds]
