"""SIGKILL of any one process, and SIGSTOP past every timeout: nothing is lost, doubled or left behind."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.stack import ROOT, Stack, wait_until

pytestmark = pytest.mark.fault

JUDGE = """
import uuid
from django.contrib.auth.models import User
from annotate.judging import best_of, record
from annotate.queue import next_lease
from projects.models import Project
person, project = User.objects.get(username="anna"), Project.objects.get()
while lease := next_lease(person, project):
    choice = best_of(0, lease.comparison.slots)
    record(person, lease.comparison, choice, shown=lease.shown, client_key=str(uuid.uuid4()))
"""
SERVER = ("generation.transformers_server",)


def start_sampling(stack: Stack, limit: int) -> int:
    stack.manage("sample", "demo", "--limit", str(limit), "-n", "2", "--max-tokens", "64", "--no-wait")
    return stack.newest_job()


def wait_for_progress(stack: Stack, job_id: int, more: int = 1) -> None:
    """Wait until the job has come further than it is now: it is surely in the middle."""
    before = stack.job(job_id)["progress"]
    wait_until(lambda: stack.job(job_id)["progress"] >= before + more, 120, "progress")
    assert stack.job(job_id)["status"] == "running"


def kill(process: psutil.Process) -> None:
    process.kill()
    wait_until(lambda: not process.is_running() or process.status() == "zombie", 10, "its end")


def check_completions(stack: Stack, job_id: int, prompts: int, n: int = 2) -> None:
    """Each prompt has exactly n completions, each index once, and its comparison."""
    rows = stack.query(
        "SELECT i.id, count(c.id), count(DISTINCT c.'index') FROM generation_samplingitem i "
        "LEFT JOIN generation_completion c ON c.item_id = i.id WHERE i.job_id = ? GROUP BY i.id",
        job_id,
    )
    assert [row[1:] for row in rows] == [(n, n)] * prompts
    statuses = stack.query("SELECT DISTINCT status FROM generation_samplingitem WHERE job_id = ?", job_id)
    assert statuses == [("done",)]


def one_server(stack: Stack) -> psutil.Process:
    return wait_until(lambda: maybe(stack, *SERVER), 60, "one model server")


def maybe(stack: Stack, *words: str) -> psutil.Process | None:
    try:
        return stack.process_of(*words)
    except AssertionError:
        return None


def test_sampling_survives_the_death_of_each_process(small):
    small.wait_for_job(wait_until(lambda: first_sampling_job(small), 30, "the demo's first job"))
    job_id = start_sampling(small, limit=60)
    for words in (("run_web",), ("run_janitor",), SERVER, ("run_device",), ("sampling@",)):
        wait_for_progress(small, job_id, more=2)
        process = small.process_of(*words)
        kill(process)
        wait_until(lambda words=words: maybe(small, *words), 60, f"a new process for {words}")
    job = small.wait_for_job(job_id)
    assert job["attempt"] == 2, "the worker's death costs one attempt, the other deaths none"
    check_completions(small, job_id, prompts=60)
    small.wait_for_page()
    assert one_server(small)


def first_sampling_job(stack: Stack) -> int | None:
    rows = stack.query("SELECT job_ptr_id FROM generation_samplingjob ORDER BY 1")
    return rows[0][0] if rows else None


def test_a_round_survives_the_death_of_trainer_and_worker(small):
    """It goes on from its last checkpoint: in the same attempt where only the trainer died."""
    small.manage("shell", "-c", JUDGE)
    small.manage(
        *("train_round", "demo", "--epochs", "60", "--lora-rank", "8", "--checkpoint-every-steps", "2", "--no-wait")
    )
    job_id = small.newest_job()
    for words, attempt in ((("train.engine",), 1), (("training@",), 2)):
        wait_for_progress(small, job_id, more=3)
        trainer = small.process_of("train.engine")
        kill(small.process_of(*words))
        wait_until(lambda trainer=trainer: not trainer.is_running(), 10, "the trainer's end")
        wait_until(lambda: maybe(small, "train.engine"), 90, "the next trainer")
        wait_until(lambda attempt=attempt: began(small, job_id, attempt) > 0, 60, "its going on")
        assert small.job(job_id)["attempt"] == attempt
    wait_for_progress(small, job_id)
    small.manage(
        "shell", "-c", f"from jobs import attempts, models; attempts.cancel(models.Job.objects.get(pk={job_id}))"
    )
    wait_until(lambda: small.job(job_id)["status"] == "cancelled", 10, "the end within 10 s of cancelling")
    wait_until(lambda: maybe(small, "train.engine") is None, 5, "the trainer's end")


def began(stack: Stack, job_id: int, attempt: int) -> int:
    """The step from which the newest trainer of this attempt has begun."""
    done = "json_extract(\"values\", '$.done')"
    rows = stack.query(
        f"SELECT {done} FROM train_roundmetric WHERE round_id = ? AND attempt = ? "
        "AND json_extract(\"values\", '$.stage') = 'training' ORDER BY line DESC LIMIT 1",
        *(job_id, attempt),
    )
    return rows[0][0] if rows else 0


def test_a_paused_worker_that_comes_back_writes_nothing(small):
    job_id = start_sampling(small, limit=20)
    wait_for_progress(small, job_id)
    paused = small.process_of("sampling@")
    paused.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: small.job(job_id)["status"] == "queued", 30, "the janitor's notice")
        second = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "sampling", "-n", "second", "-P", "solo"],
            cwd=ROOT,
            env={**small.environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: small.job(job_id)["attempt"] == 2, 90, "the second attempt")
        wait_for_progress(small, job_id)
        paused.send_signal(signal.SIGCONT)
        small.wait_for_job(job_id)
    finally:
        paused.send_signal(signal.SIGCONT)
        os.kill(second.pid, signal.SIGTERM)
        second.wait(timeout=30)
    check_completions(small, job_id, prompts=20)
    log = (small.home / "log" / "worker-sampling.log").read_text()
    assert f"Job {job_id}: attempt 1 has ended. This runner stops." in log


def test_ctrl_c_stops_everything_and_the_next_start_goes_on(small):
    job_id = start_sampling(small, limit=15)
    wait_for_progress(small, job_id)
    assert small.stop() < 30
    assert [process.cmdline() for process in small.processes()] == []
    with pytest.raises(httpx.HTTPError):
        httpx.get(small.url, timeout=2)
    small.run()
    small.wait_for_job(job_id)
    check_completions(small, job_id, prompts=15)


def test_nothing_stays_behind_when_the_command_that_started_everything_is_killed(small):
    small.process.kill()
    wait_until(lambda: not small.processes(), 30, "the end of all")
    small.run()
