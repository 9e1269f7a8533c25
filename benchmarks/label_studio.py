"""Label Studio from PyPI, measured by the same people on the same machine.

It is installed into a virtual environment of its own, outside the repository, and started by its own command,
`label-studio start`, which serves with Django's development server (`runserver --noreload`, a thread per connection);
its telemetry is off, as this machine may reach nobody. Its people are signed in by session and use its API as its page
does: the next task, and a new annotation. Its API checks no CSRF token.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load import Failed, Line, NothingLeft
from benchmarks.servers import KEPT, Place, Server, run
from tests.stack import ROOT, free_port

VERSION = "1.23.2"
HOME = Path(os.environ.get("LABEL_STUDIO_VENV", "/tmp/label-studio-venv"))
PATIENCE = 900.0  # seconds: its first start makes its tables, by some hundred migrations
BATCH = 1000  # tasks in one import
PAIRWISE = """<View>
  <Text name="prompt" value="$prompt"/>
  <Pairwise name="better" toName="first,second"/>
  <Text name="first" value="$first"/>
  <Text name="second" value="$second"/>
</View>"""


class NotInstalled(Exception):
    """Label Studio cannot be installed here; the text says why."""


def install(home: Path = HOME) -> str:
    """Install Label Studio unless it is there; return its version.

    Raises:
        NotInstalled: pip said no.
    """
    if not (home / "bin" / "label-studio").exists():
        print(f"Installing Label Studio {VERSION} into {home}; this takes some minutes.", file=sys.stderr)
        pip = [str(home / "bin" / "pip"), "install", "--quiet", f"label-studio=={VERSION}"]
        for command in ([sys.executable, "-m", "venv", str(home)], pip):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise NotInstalled((done.stderr.strip().splitlines() or ["pip said nothing"])[-1][:200])
    code = "from importlib.metadata import version; print(version('label-studio'), version('django'))"
    found, django = run([str(home / "bin" / "python"), "-c", code], dict(os.environ)).split()
    return f"Label Studio {found} (Django {django})"


def environment(place: Place) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    found = {
        **kept,
        "LABEL_STUDIO_BASE_DATA_DIR": str(place.folder),
        "DJANGO_DB": "sqlite",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "ERROR",
    }
    if not place.url:
        return found
    parts = urlsplit(place.url)
    return found | {
        "DJANGO_DB": "default",
        "POSTGRE_USER": parts.username or "postgres",
        "POSTGRE_PASSWORD": parts.password or "",
        "POSTGRE_NAME": parts.path.lstrip("/"),
        "POSTGRE_HOST": parts.hostname or "127.0.0.1",
        "POSTGRE_PORT": str(parts.port or 5432),
    }


def server(place: Place, home: Path = HOME) -> Server:
    port = free_port()
    where = ["--port", str(port), "--internal-host", "127.0.0.1", "--data-dir", str(place.folder)]
    command = [str(home / "bin" / "label-studio"), "start", "--no-browser", *where]
    log = place.folder / "label-studio.log"
    made = Server(command, environment(place), log=log, first_page="/user/login/", port=port)
    made.patience = PATIENCE
    return made


def fill(place: Place, port: int, people: int, tasks: list[tuple[str, str, str]], home: Path = HOME) -> dict[str, Any]:
    """Make signed-in people and a project with these tasks (prompt and two answers), by its API; return both."""
    script = ROOT / "benchmarks" / "label_studio_people.py"
    given = json.dumps({"people": people})
    printed = run([str(home / "bin" / "python"), str(script)], environment(place), given=given)
    found = json.loads(printed.splitlines()[-1])
    admin = Line(port, {"sessionid": found[0]["session"]}, PATIENCE)
    settings = {"title": "Benchmark", "label_config": PAIRWISE, "maximum_annotations": 1}
    project = ask(admin, "POST", "/api/projects/", settings)["id"]
    rows = [{"prompt": prompt, "first": first, "second": second} for prompt, first, second in tasks]
    for start in range(0, len(rows), BATCH):
        ask(admin, "POST", f"/api/projects/{project}/import", rows[start : start + BATCH])
    admin.close()
    return {"people": found, "project": project}


def ask(line: Line, method: str, path: str, data: Any = None) -> Any:
    body = None if data is None else json.dumps(data)
    status, text, _ = line.send(method, path, body, {"Content-Type": "application/json"})
    if status not in (200, 201):
        raise Failed(f"{method} {path}: {status} {text[:200]}")
    return json.loads(text)


class LabelStream:
    """One person in its label stream: the next task, and an annotation of it."""

    def __init__(self, port: int, person: dict[str, str], project: int):
        self.name, self.project = person["name"], project
        self.line = Line(port, {"sessionid": person["session"]}, timeout=120)
        self.task: int | None = None
        self.seen: list[int] = []

    def begin(self) -> None:
        self.next_task()

    def loop(self) -> float:
        if self.task is None:
            self.next_task()  # after a failure
        value = {"selected": "left"}
        result = [{"from_name": "better", "to_name": "first", "type": "pairwise", "value": value}]
        body = json.dumps({"result": result, "lead_time": 4.2, "project": self.project})
        headers = {"Content-Type": "application/json"}
        task, self.task = self.task, None
        status, text, submitting = self.line.send("POST", f"/api/tasks/{task}/annotations/", body, headers)
        if status != 201:
            raise Failed(f"POST annotations: {status} {text[:100]}")
        return submitting + self.next_task()

    def next_task(self) -> float:
        status, text, seconds = self.line.send("GET", f"/api/projects/{self.project}/next")
        if status == 404:
            raise NothingLeft
        if status != 200:
            raise Failed(f"GET next: {status} {text[:100]}")
        self.task = json.loads(text)["id"]
        self.seen.append(self.task)
        return seconds

    def given(self) -> list[int]:
        return self.seen

    def end(self) -> None:
        self.line.close()
