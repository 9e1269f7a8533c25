"""A whole Winnow of its own, started as `make run` starts it, for the tests and benchmarks that need the real thing."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
DEMO_MODEL = ROOT / "var" / "models" / "SmolLM2-135M-Instruct"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stack:
    """`manage.py run` in a data folder of its own, and what tests do to it."""

    def __init__(self, home: Path, model: Path, **environment: str):
        self.home, self.model = home, model
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in ("CELERY_BROKER_URL", "DATABASE_URL")},
            "WINNOW_HOME": str(home),
            "WINNOW_LISTEN": f"127.0.0.1:{self.port}",
            "HF_HUB_OFFLINE": "1",
            "SPT_NOENV": "1",  # Celery and vLLM set their title over the environment, by which they are found here
            **environment,
        }
        self.process: subprocess.Popen | None = None

    def manage(self, *arguments: str) -> str:
        """Run a management command as a user does, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"manage.py {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        self.manage("collectstatic", "--no-input", "--verbosity", "0")
        self.manage("make_demo", "--model", str(self.model))
        self.run()

    def run(self) -> None:
        log = (self.home / "run.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )
        self.wait_for_page()

    def wait_for_page(self, patience: float = 60) -> None:
        wait_until(lambda: self.page_answers(), patience, "the first page")

    def page_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/sign-in/", timeout=2).status_code < 500
        except httpx.HTTPError:
            return False

    def stop(self) -> float:
        """Stop as Ctrl-C does; return how many seconds it took."""
        started = time.monotonic()
        if self.process is None:
            return 0.0
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        return time.monotonic() - started

    def query(self, sql: str, *values) -> list[tuple]:
        """Read the stack's database."""
        connection = sqlite3.connect(f"file:{self.home}/winnow.sqlite3?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def job(self, job_id: int) -> dict:
        columns = "id", "status", "attempt", "progress", "total", "message", "error"
        (row,) = self.query(f"SELECT {', '.join(columns)} FROM jobs_job WHERE id = ?", job_id)
        return dict(zip(columns, row, strict=True))

    def newest_job(self) -> int:
        return self.query("SELECT max(id) FROM jobs_job")[0][0]

    def wait_for_job(self, job_id: int, patience: float = 300) -> dict:
        wait_until(
            lambda: self.job(job_id)["status"] not in ("queued", "running"), patience, f"the end of {self.job(job_id)}"
        )
        job = self.job(job_id)
        assert job["status"] == "succeeded", job
        return job

    def accounts(self) -> dict[str, str]:
        lines = (self.home / "demo-accounts.txt").read_text().splitlines()
        return {name: password for name, password, *_ in (line.split() for line in lines)}

    def processes(self) -> list[psutil.Process]:
        """Every living process that belongs to this data folder."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("WINNOW_HOME") == str(self.home) and process.status() != "zombie":
                    mine.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in mine if process.pid != os.getpid()]

    def process_of(self, *words: str) -> psutil.Process:
        """The one process whose command line holds all the words (no leash, no shell, nothing it forked)."""
        found = {process.pid: process for process in self.processes() if is_command(process, words)}
        first = [process for process in found.values() if parent_of(process) not in found]
        assert len(first) == 1, f"{words}: {[process.cmdline() for process in first]}"
        return first[0]


def parent_of(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def is_command(process: psutil.Process, words: tuple[str, ...]) -> bool:
    try:
        line = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return "jobs.leash" not in line and all(any(word in part for part in line) for word in words)


def wait_until(condition, patience: float, what: str, interval: float = 0.2):
    """Wait for a condition to hold; return its value."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {patience:.0f} s"
        time.sleep(interval)
    return value


def running(stack: Stack) -> Iterator[Stack]:
    """Start a stack, hand it out, and stop it; nothing may be left behind."""
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        left = [process.cmdline() for process in stack.processes()]
        assert not left, f"processes left behind: {left}"
