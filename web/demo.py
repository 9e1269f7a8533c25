"""The demo: a project that a newcomer can take round the loop on a laptop."""

import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from generation import policies
from generation.engine import Parameters
from generation.models import Policy, Registration
from generation.sampling import create_sampling_job
from jobs.attempts import JobError, run_job
from jobs.models import Job
from projects import prompts
from projects.access import add_member
from projects.models import Membership, Project, Prompt

FILES = Path(__file__).resolve().parent.parent / "projects" / "demo"
ACCOUNTS_FILE = "demo-accounts.txt"
FIRST_PROMPTS = 16  # sampled by itself, so that judging can begin while the rest waits for a click
ANSWER_TOKENS = 96  # a small model on a CPU: short answers keep the loop short

PEOPLE = (
    ("operator", "the operator", None),
    ("admin", "the project's admin", Membership.Role.ADMIN),
    ("anna", "an annotator", Membership.Role.ANNOTATOR),
    ("ben", "an annotator", Membership.Role.ANNOTATOR),
)


def make(model: Path) -> None:
    """Make the demo's accounts, project and prompts, and queue the first sampling job. All or nothing."""
    with transaction.atomic():
        project = Project.objects.create(
            name="Demo",
            slug="demo",
            description="Plain, helpful answers from a very small model.",
            mode=Project.Mode.BEST,
            answers_per_comparison=4,
            overlap=1,
        )
        project.guideline_versions.create(version=1, text=(FILES / "guidelines.md").read_text())
        admin = make_people(project)
        policy = register(model)
        import_prompts(project, admin)
        create_sampling_job(
            project,
            [policy],
            Prompt.objects.imported().filter(project=project).order_by("pk")[:FIRST_PROMPTS],
            parameters=Parameters(n=4, temperature=1.0, top_p=1.0, top_k=0, max_tokens=ANSWER_TOKENS),
            title=f"first answers of {policy}",
            user=admin,
        )


def make_people(project: Project) -> User:
    """Make the accounts with random passwords, which are kept in a file of the owner's; return the admin."""
    lines, people = [], {}
    for name, part, role in PEOPLE:
        password = secrets.token_urlsafe(9)
        user = User.objects.create_user(name, password=password, is_staff=role is None)
        if role:
            add_member(project, user, role)
        people[name] = user
        lines.append(f"  {name:<10} {password}   {part}\n")
    path = settings.WINNOW_HOME / ACCOUNTS_FILE
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(lines))
    return people["admin"]


def register(model: Path) -> Policy:
    job = policies.register_base(model.name, str(model.resolve()))
    run_job(job.pk, policies.run_registration)
    policy = Registration.objects.select_related("policy").get(pk=job.pk).policy
    if policy is None:
        raise JobError(Job.objects.get(pk=job.pk).error)
    return policy


def import_prompts(project: Project, admin: User) -> None:
    with (FILES / "prompts.jsonl").open("rb") as file:
        job = prompts.import_prompts(project, "prompts.jsonl", file, admin)
    run_job(job.pk, prompts.run_import)
