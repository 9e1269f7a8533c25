"""Children on a leash: they end with their parent, whole groups at a time."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from jobs.processes import Child, tail
from tests.stack import ROOT, wait_until

# A command that starts a child of its own, as vLLM does, writes both ids and sleeps.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}\\n")
time.sleep(600)
"""


def gone(pids):
    return all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie" for pid in pids)


@pytest.fixture
def family(tmp_path):
    """A command with a child of its own, on a leash; and the ids of both."""
    ids = tmp_path / "ids"
    child = Child([sys.executable, "-c", FAMILY, str(ids)], log=tmp_path / "log", cwd=ROOT)
    wait_until(lambda: ids.exists() and ids.read_text().endswith("\n"), 20, "the family")
    yield child, [int(pid) for pid in ids.read_text().split()]
    child.kill()


def test_it_works(tmp_path):
    child = Child(["sh", "-c", "echo hello; exit 3"], log=tmp_path / "log", cwd=ROOT)
    wait_until(lambda: child.status() is not None, 20, "the end")
    assert child.status() == 3
    assert tail(tmp_path / "log") == "hello"


def test_a_signal_is_told_as_a_status(tmp_path):
    child = Child(["sh", "-c", "kill -KILL $$"], log=tmp_path / "log", cwd=ROOT)
    wait_until(lambda: child.status() is not None, 20, "the end")
    assert child.status() == 128 + signal.SIGKILL


def test_stopping_takes_the_whole_group(family):
    child, pids = family
    assert child.stop(patience=5) == 128 + signal.SIGTERM
    wait_until(lambda: gone(pids), 5, "the group's end")


def test_when_the_command_is_killed_its_children_go_too(family):
    child, (command, grandchild) = family
    os.kill(command, signal.SIGKILL)
    wait_until(lambda: gone([grandchild]), 5, "the grandchild's end")
    wait_until(lambda: child.status() is not None, 5, "the status")
    assert child.status() == 128 + signal.SIGKILL


def test_when_the_leash_is_killed_the_group_goes_too(family):
    child, pids = family
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.status() is not None, 5, "the status")
    wait_until(lambda: gone(pids), 5, "the group's end")


PARENT = """
import sys, time
from pathlib import Path
from jobs.processes import Child
child = Child([sys.executable, "-c", sys.argv[1], sys.argv[2]], log=Path(sys.argv[3]))
time.sleep(600)
"""


def test_when_the_parent_is_killed_the_group_goes_too(tmp_path):
    ids = tmp_path / "ids"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, FAMILY, str(ids), str(tmp_path / "log")], cwd=ROOT)
    wait_until(lambda: ids.exists() and ids.read_text().endswith("\n"), 20, "the family")
    pids = [int(pid) for pid in ids.read_text().split()]
    assert not gone(pids)
    parent.kill()
    parent.wait()
    wait_until(lambda: gone(pids), 5, "the group's end")


def test_a_new_holder_of_the_lock_kills_the_old_one(tmp_path):
    lock, log = tmp_path / "lock", tmp_path / "log"
    first = Child(["sleep", "600"], log=log, cwd=ROOT, lock=lock)
    second = Child(["sh", "-c", "sleep 0.2; exit 7"], log=log, cwd=ROOT, lock=lock)
    wait_until(lambda: first.status() is not None, 5, "the first one's end")
    assert first.status() == 128 + signal.SIGKILL
    wait_until(lambda: second.status() is not None, 5, "the second one's end")
    assert second.status() == 7


def test_tail_of_a_log_that_is_not_there(tmp_path):
    assert tail(tmp_path / "nothing") == ""
