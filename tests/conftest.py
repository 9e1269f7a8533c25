"""What all tests share: people with fixed parts, and short factories."""

import shutil
import tempfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections

from annotate.models import Comparison
from generation.engine import Answer, Parameters, Sampled
from generation.models import Policy, SamplingJob
from generation.sampling import create_sampling_job, store
from jobs.attempts import Attempt, run_job
from jobs.models import Job
from projects.access import add_member
from projects.models import Membership, Project, Prompt
from projects.prompts import import_prompts, lines_to_jsonl, run_import
from tests.browser import browser  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    """SQLite in a file, as in production: threads have connections of their own, which a database in memory has not."""
    database = connections["default"].settings_dict
    if database["ENGINE"] == "jobs.sqlite":
        in_memory = Path("/dev/shm")
        folder = Path(tempfile.mkdtemp(dir=in_memory)) if in_memory.is_dir() else tmp_path_factory.mktemp("database")
        database["TEST"]["NAME"] = str(folder / "test.sqlite3")
        yield
        shutil.rmtree(folder)
    else:
        yield


@pytest.fixture(autouse=True)
def plain_static_files(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def olga(db):
    """The operator."""
    return User.objects.create_user("olga", password=PASSWORD, is_staff=True)


@pytest.fixture
def alice(db):
    """Admin of the project."""
    return User.objects.create_user("alice", password=PASSWORD)


@pytest.fixture
def bob(db):
    """Annotator of the project."""
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def dora(db):
    """Another annotator of the project."""
    return User.objects.create_user("dora", password=PASSWORD)


@pytest.fixture
def charlie(db):
    """A stranger to the project: must see nothing of it."""
    return User.objects.create_user("charlie", password=PASSWORD)


@pytest.fixture
def project(alice, bob, dora):
    project = Project.objects.create(name="Plain answers", slug="plain", answers_per_comparison=2, overlap=1)
    add_member(project, alice, Membership.Role.ADMIN)
    add_member(project, bob, Membership.Role.ANNOTATOR)
    add_member(project, dora, Membership.Role.ANNOTATOR)
    project.guideline_versions.create(version=1, text="Choose the answer you would **rather** have been given.")
    return project


@pytest.fixture
def policy(db):
    return Policy.objects.create(
        name="Tiny base", path="models/tiny", fingerprint="f" * 64, tokenizer_fingerprint="t" * 64
    )


@pytest.fixture
def add_prompts(project):
    """Return a function that imports prompts, a line each, and returns the project's prompts."""

    def add(*texts: str) -> list[Prompt]:
        job = import_prompts(project, "typed", [lines_to_jsonl("\n".join(texts)).encode()])
        run_job(job.pk, run_import)
        assert Job.objects.get(pk=job.pk).status == Job.Status.SUCCEEDED
        return list(Prompt.objects.imported().filter(project=project).order_by("pk"))

    return add


@pytest.fixture
def sampled(project, policy):
    """Return a function that stores answers to prompts as a finished sampling job does."""

    def sample(answers: dict[Prompt, list[str]]) -> list[Comparison]:
        n = max(len(texts) for texts in answers.values())
        parameters = Parameters(n=n, temperature=1.0, top_p=1.0, top_k=0, max_tokens=64)
        job = create_sampling_job(project, [policy], answers, parameters=parameters, seed=1)
        attempt = Attempt(job.pk, Job.objects.claim(job.pk))
        for item in job.items.select_related("prompt"):
            texts = answers[item.prompt]
            found = [Answer(i, text, [5, 6, 7 + i], -3.0 - i, "stop") for i, text in enumerate(texts)]
            store(attempt, item, policy, Sampled(item.pk, [1, 2, 3], found))
        attempt.beat(progress=len(answers))
        attempt.finish(Job.Status.SUCCEEDED)
        assert SamplingJob.objects.get(pk=job.pk).status == Job.Status.SUCCEEDED
        return list(Comparison.objects.filter(item__job=job).order_by("pk"))

    return sample
