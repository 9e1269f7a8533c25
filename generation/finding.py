"""What commands are given by name: found, or refused with a list of what there is."""

from collections.abc import Iterable

from django.core.management.base import CommandError
from django.forms import Form

from generation.models import Policy
from projects.models import Project


def project_named(slug: str) -> Project:
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise CommandError(_unknown("project", slug, Project.objects.order_by("slug").values_list("slug", flat=True)))
    return project


def policy_named(project: Project, name: str) -> Policy:
    """Return the project's usable policy with this name or id; of several with one name, the newest."""
    usable = Policy.objects.usable_in(project)
    found = usable.filter(name=name).first()
    if found is None and name.isdecimal():
        found = usable.filter(pk=int(name)).first()
    if found is None:
        raise CommandError(_unknown("policy", name, [f"{policy.name} ({policy.pk})" for policy in usable]))
    return found


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    there_is = ", ".join(known) or "none yet"
    return f"There is no {kind} “{name}”. Known: {there_is}."


def check(form: Form) -> None:
    """Raise CommandError with all that is wrong, each under the option that it concerns."""
    if form.is_valid():
        return
    wrong = []
    for name, errors in form.errors.items():
        text = " ".join(str(error) for error in errors)
        wrong.append(text if name == "__all__" else f"{_option(name)}: {text}")
    raise CommandError("\n".join(wrong))


def _option(field: str) -> str:
    return "-n" if field == "n" else f"--{field.replace('_', '-')}"
