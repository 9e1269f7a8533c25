"""Registering policies: base models from a folder or a hub, and what rounds made."""

import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from generation.models import Policy, Registration
from jobs import stopping
from jobs.attempts import Attempt, JobError, submit
from jobs.models import Job
from jobs.processes import Child, tail
from projects.models import Project


def register_base(name: str, source: str, revision: str = "", user: User | None = None) -> Registration:
    """Queue the registration of a folder or a hub id as a base policy.

    Raises:
        ValueError: the source looks like a folder and is none.
    """
    if source.startswith((".", "/", "~")):
        source = str(Path(source).expanduser().resolve())
        if not Path(source).is_dir():
            raise ValueError(f"There is no folder {source}. Give a checkpoint's folder, or a hub id such as org/name.")
    job = Registration(
        queue=Job.Queue.LIGHT,
        task="generation.tasks.run_registration",
        title=f"registration of {name}"[:200],
        created_by=user,
        name=name,
        source=source,
        revision=revision,
    )
    submit(job)
    return job


def run_registration(attempt: Attempt) -> None:
    """Look at the checkpoint in a child process, which downloads it first if it is on a hub; store the policy."""
    job = Registration.objects.get(pk=attempt.job_id)
    facts = describe(attempt, job.source, job.revision)
    if facts["lora_rank"]:
        raise JobError(f"{job.source} is an adapter. Register its base model; rounds make adapters on it.")
    with attempt.writing():
        policy = store_policy(job.name, facts)
        Registration.objects.filter(pk=job.pk).update(policy=policy)


def describe(attempt: Attempt, source: str, revision: str = "") -> dict[str, Any]:
    """Return what `python -m train.engine.describe` says of a checkpoint or adapter.

    It needs the tokenizer library, which this process does not import.

    Raises:
        JobError: it is no checkpoint that can be used.
    """
    output = settings.WINNOW_HOME / "run" / f"describe-{attempt.job_id}-{attempt.number}.json"
    log = settings.WINNOW_HOME / "log" / f"describe-{attempt.job_id}-{attempt.number}.log"
    command = [sys.executable, "-m", "train.engine.describe", source, "--output", str(output)]
    command += ["--revision", revision] if revision else []
    child = Child(command, log=log, cwd=settings.BASE_DIR)
    try:
        while child.status() is None:
            attempt.beat(message=f"Reading the weights of {source}.")
            stopping.wait(0.5)
    finally:
        status = child.kill()
    if status or not output.exists():
        raise JobError(f"{source} cannot be used as a policy. {tail(log, lines=2)}")
    facts: dict[str, Any] = json.loads(output.read_text())
    output.unlink()
    log.unlink()
    return facts


def store_policy(
    name: str,
    facts: dict[str, Any],
    *,
    project: Project | None = None,
    base: Policy | None = None,
    parent: Policy | None = None,
) -> Policy:
    """Store a policy by what `describe` said of it. The same weights are the same policy, whatever their path."""
    folder = Path(facts["folder"])
    inside = folder.is_relative_to(settings.WINNOW_HOME)
    path = str(folder.relative_to(settings.WINNOW_HOME) if inside else folder)
    policy, is_new = Policy.objects.get_or_create(
        fingerprint=facts["fingerprint"],
        defaults={
            "name": name,
            "project": project,
            "base": base,
            "parent": parent,
            "path": path,
            "hub_id": facts.get("hub_id", ""),
            "hub_revision": facts.get("hub_revision", ""),
            "tokenizer_fingerprint": facts["tokenizer_fingerprint"],
            "lora_rank": facts["lora_rank"],
        },
    )
    if not is_new and not Path(policy.folder).exists():  # the weights have moved
        policy.path = path
        policy.save(update_fields=["path"])
    return policy
