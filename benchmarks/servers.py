"""Databases and web servers of a benchmark's own: made, started, killed and taken away again."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from tests.stack import ROOT, free_port

PATIENCE = 120.0  # seconds, for a first page
POSTGRES_URL = "postgres://postgres@127.0.0.1:5432/postgres"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # of this process's environment


@dataclass
class Place:
    """A data folder, and the database that belongs to it. `url` is empty for SQLite, whose file is in the folder."""

    kind: str  # "sqlite" or "postgres"
    folder: Path
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of Winnow's processes, with nothing of the caller's own Winnow in it."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        found = {**kept, "WINNOW_HOME": str(self.folder), "CELERY_BROKER_URL": "memory://", "WINNOW_LOG_LEVEL": "ERROR"}
        return {**found, "DATABASE_URL": self.url} if self.url else found


@contextlib.contextmanager
def place(kind: str, under: Path | None = None, postgres: str | None = None) -> Iterator[Place]:
    """Hand out a data folder with an empty database, and remove both at the end.

    Raises:
        ValueError: `kind` is neither "sqlite" nor "postgres".
        psycopg.OperationalError: no PostgreSQL answers at `postgres`, or DATABASE_URL, or POSTGRES_URL.
    """
    if kind not in ("sqlite", "postgres"):
        raise ValueError(f"A database is 'sqlite' or 'postgres', got {kind!r}.")
    folder = Path(tempfile.mkdtemp(prefix="winnow-bench-", dir=under))
    try:
        if kind == "sqlite":
            yield Place(kind, folder)
        else:
            with postgres_database(postgres or os.environ.get("DATABASE_URL") or POSTGRES_URL) as url:
                yield Place(kind, folder, url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_database(server: str) -> Iterator[str]:
    """Make a database of its own beside the one that `server` names, and hand out its URL."""
    name = f"winnow_bench_{os.getpid()}_{time.time_ns() % 10**9}"
    parts = urlsplit(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Server:
    """A web server as a process of its own, with its children, on a free port of this machine."""

    def __init__(self, command: list[str], environment: dict[str, str], *, log: Path, first_page: str, port: int):
        self.command, self.environment, self.log = command, environment, log
        self.port, self.first_page = port, first_page
        self.patience = PATIENCE
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            # On a leash: however this process ends, the server ends with it.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.leash", *self.command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        deadline = time.monotonic() + self.patience
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                end = self.log.read_text(errors="replace")[-2000:]
                self.kill()
                raise RuntimeError(f"{' '.join(self.command)} did not answer at port {self.port}. Its log ends:\n{end}")
            time.sleep(0.1)

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.first_page)
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill the server as a power cut does: nothing is finished, nothing is said."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def cpu_seconds(self) -> float:
        """Return the processor time that the server and its children have taken."""
        assert self.process is not None
        main = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (main, *main.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def winnow(place: Place, settings: str = "config.settings") -> Server:
    """Return Winnow's web server, to be started with the very command that config/supervisord.conf has."""
    port = free_port()
    environment = {**place.environment, "WINNOW_LISTEN": f"127.0.0.1:{port}", "DJANGO_SETTINGS_MODULE": settings}
    log = place.folder / "log" / "web.log"
    return Server([sys.executable, "manage.py", "run_web"], environment, log=log, first_page="/sign-in/", port=port)


def make_ready(place: Place) -> None:
    """Make the tables, and the static files as they are served."""
    for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--no-input", "--verbosity", "0"]):
        run([sys.executable, "manage.py", *command], place.environment)


def run(command: list[str], environment: dict[str, str], *, given: str | None = None) -> str:
    """Run a command in the repository's root; return what it printed.

    Raises:
        RuntimeError: it failed. The text holds the end of what it said.
    """
    done = subprocess.run(command, cwd=ROOT, env=environment, input=given, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
