"""Prompts: what a line of a file may say, which side a prompt is on, and the import."""

import hashlib
import json
import math
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from jobs.attempts import Attempt, JobError, submit
from jobs.models import Job
from projects.models import Project, Prompt, PromptImport

ROLES = ("system", "user", "assistant")
KEYS = {"prompt", "messages", "system", "id", "metadata"}
MOST_CHARACTERS = 100_000
DEEPEST = 50  # levels of lists and objects in metadata
BATCH = 500  # rows a transaction: far below 50 ms of write lock
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Messages = list[dict[str, str]]


class PromptError(ValueError):
    """A line that is no prompt. The text says which line, what is wrong, and what is allowed."""


@dataclass(frozen=True)
class ParsedPrompt:
    messages: Messages
    external_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def digest(messages: Messages) -> str:
    """Return what a prompt is known by: the SHA-256 of the canonical JSON of its roles and contents."""
    plain = [{"role": message["role"], "content": message["content"]} for message in messages]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def side(messages: Messages, held_out_percent: int) -> Prompt.Side:
    """Return the side of a prompt: drawn by its first user turn alone, so that its variants stay together.

    Folding (compatibility forms, case, white space) keeps copies of a question on one side, and without a salt the
    same question is held out in every project that holds out the same share.
    """
    first = next(message["content"] for message in messages if message["role"] == "user")
    folded = " ".join(unicodedata.normalize("NFKC", first).casefold().split())
    drawn = int(hashlib.sha256(folded.encode()).hexdigest()[:8], 16) % 100
    return Prompt.Side.HELD_OUT if drawn < held_out_percent else Prompt.Side.TRAIN


def parse_jsonl(lines: Iterable[bytes]) -> Iterator[ParsedPrompt]:
    """Yield the prompts of a JSONL file. Empty lines are passed over.

    Raises:
        PromptError: at the first line that is wrong.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield parse_line(line)
            except PromptError as error:
                raise PromptError(f"Line {number}: {error}") from error


def parse_line(line: bytes) -> ParsedPrompt:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise PromptError(f"it is not UTF-8 text (byte {error.start + 1}). Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise PromptError(f"it is not JSON: {error.msg} at character {error.colno}.") from error
    except PromptError:
        raise
    except (ValueError, RecursionError) as error:
        raise PromptError("it holds a number of thousands of digits, or is nested too deeply.") from error
    if not isinstance(row, dict):
        raise PromptError(f'it holds {_kind(row)}, not an object such as {{"prompt": "…"}}.')
    if unknown := sorted(set(row) - KEYS):
        raise PromptError(f"unknown key “{unknown[0][:40]}”. Allowed are {', '.join(sorted(KEYS))}.")
    if ("prompt" in row) == ("messages" in row):
        raise PromptError("it needs either “prompt” (text) or “messages” (a list), and not both.")
    messages = [{"role": "user", "content": row["prompt"]}] if "prompt" in row else row["messages"]
    if "system" in row:
        messages = [{"role": "system", "content": row["system"]}, *(messages if isinstance(messages, list) else [])]
    check_messages(messages)
    if not isinstance(row.get("metadata", {}), dict):
        raise PromptError(f"“metadata” must be an object, got {_kind(row['metadata'])}.")
    external_id = row.get("id") if row.get("id") is not None else ""
    if isinstance(external_id, bool) or not isinstance(external_id, str | int | float):
        raise PromptError(f"“id” must be a text or a number, got {_kind(external_id)}.")
    external_id = str(external_id)
    if len(external_id) > 200:
        raise PromptError(f"“id” has {len(external_id)} characters; at most 200 are allowed.")
    plain = [{"role": message["role"], "content": message["content"]} for message in messages]
    check_storable(external_id, "id")
    check_storable(row.get("metadata", {}), "metadata")
    return ParsedPrompt(plain, external_id, row.get("metadata", {}))


def check_storable(value: object, key: str, depth: int = 0) -> None:
    """Raise PromptError unless a database can store this piece of JSON and give it back."""
    if depth > DEEPEST:
        raise PromptError(f"“{key}” is nested more than {DEEPEST} deep.")
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise PromptError(f"“{key}” holds a NUL character or half of a surrogate pair. Remove it.")
    if isinstance(value, float) and not math.isfinite(value):
        raise PromptError(f"“{key}” holds a number that is too large. Write it as a text.")
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for part in parts:
        check_storable(part, key, depth + 1)


def _refuse_constant(name: str) -> None:
    raise PromptError(f"{name} is no JSON. Write null, or leave it out.")


def check_messages(messages: object) -> None:
    """Raise PromptError unless these are chat messages that a model can answer."""
    if not isinstance(messages, list) or not messages:
        raise PromptError(f"“messages” must be a list of at least one message, got {_kind(messages)}.")
    for position, message in enumerate(messages, start=1):
        _check_message(message, position)
    roles = [message["role"] for message in messages]
    if "system" in roles[1:]:
        raise PromptError("a system message may only come first.")
    turns = roles[1:] if roles[0] == "system" else roles
    if turns != [("user", "assistant")[index % 2] for index in range(len(turns))] or not turns:
        raise PromptError(f"user and assistant must take turns, user first; got {', '.join(roles)}.")
    if turns[-1] != "user":
        raise PromptError("the last message must be the user's: it is what the model answers.")


def _check_message(message: object, position: int) -> None:
    if not isinstance(message, dict) or not {"role", "content"} <= set(message):
        raise PromptError(f"message {position} must be an object with “role” and “content”.")
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise PromptError(f"message {position} has the role {role!r}; allowed are {', '.join(ROLES)}.")
    if not isinstance(content, str) or not content.strip():
        raise PromptError(f"message {position} ({role}) must hold text, got {_kind(content)}.")
    if len(content) > MOST_CHARACTERS:
        raise PromptError(
            f"message {position} has {len(content):,} characters; at most {MOST_CHARACTERS:,} are allowed."
        )
    if UNSTORABLE.search(content):
        raise PromptError(f"message {position} holds a NUL character or half of a surrogate pair. Remove it.")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    if isinstance(value, str) and not value.strip():
        return "an empty text"
    if value == []:
        return "an empty list"
    return names.get(type(value), "a number")


def lines_to_jsonl(text: str) -> str:
    """Turn typed text, a prompt a line, into JSONL."""
    prompts = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n" for prompt in prompts)


def import_prompts(project: Project, source: str, chunks: Iterable[bytes], user: User | None = None) -> PromptImport:
    """Check a JSONL file to its last line, keep a copy, and queue its import. Nothing is kept of a wrong file.

    Raises:
        PromptError: at the first line that is wrong, or when there is no prompt at all.
    """
    relative = Path("imports") / f"{project.slug}-{secrets.token_hex(8)}.jsonl"
    path = settings.WINNOW_HOME / relative
    try:
        with path.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        with path.open("rb") as file:
            total = sum(1 for _ in parse_jsonl(file))
        if not total:
            raise PromptError("There is no prompt in it.")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    job = PromptImport(
        queue=Job.Queue.LIGHT,
        task="projects.tasks.run_import",
        title=f"import of {source}"[:200],
        total=total,
        created_by=user,
        project=project,
        source=source[:200],
        path=str(relative),
    )
    submit(job)
    return job


def run_import(attempt: Attempt) -> None:
    """Store the prompts in small transactions. They count from the moment that the job has succeeded."""
    job = PromptImport.objects.select_related("project").get(pk=attempt.job_id)
    # What an import that failed or was cancelled left behind was never visible, and would pass for duplicates.
    given_up = [Job.Status.FAILED, Job.Status.CANCELLED]
    Prompt.objects.filter(project=job.project, source__status__in=given_up).delete()
    try:
        with (settings.WINNOW_HOME / job.path).open("rb") as file:
            prompts = parse_jsonl(file)
            done = 0
            while batch := list(islice(prompts, BATCH)):
                rows = [_row(job, prompt) for prompt in batch]
                with attempt.writing():
                    Prompt.objects.bulk_create(rows, ignore_conflicts=True)
                    _check_stored(job.project, rows)
                done += len(batch)
                attempt.beat(progress=done, message=f"{done:,} of {job.total:,} prompts")
    except FileNotFoundError as error:
        raise JobError(f"The copy of {job.source} is gone. Import the file again.") from error
    mine = Prompt.objects.filter(source=job)
    added = mine.count()
    with attempt.writing():
        PromptImport.objects.filter(pk=job.pk).update(
            added=added, duplicates=done - added, held_out=mine.held_out().count()
        )


def _check_stored(project: Project, rows: list[Prompt]) -> None:
    """Make sure that what the database passed over was there already, and not refused for another reason."""
    digests = {row.digest for row in rows}
    stored = Prompt.objects.filter(project=project, digest__in=digests).count()
    if stored != len(digests):
        raise JobError(f"The database refused {len(digests) - stored:,} of {len(digests):,} prompts; none is imported.")


def _row(job: PromptImport, prompt: ParsedPrompt) -> Prompt:
    return Prompt(
        project=job.project,
        source=job,
        digest=digest(prompt.messages),
        messages=prompt.messages,
        side=side(prompt.messages, job.project.held_out_percent),
        external_id=prompt.external_id,
        metadata=prompt.metadata,
    )
