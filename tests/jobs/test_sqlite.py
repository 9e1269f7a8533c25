"""SQLite's write transactions take turns, within a process and among processes."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, connections, transaction

from jobs.models import Job
from jobs.sqlite.base import FairLock, Turns
from tests.stack import ROOT, wait_until
from tests.threads import together

sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has locks of its own.")


def test_who_came_first_is_first():
    lock, order, started = FairLock(), [], []
    lock.acquire()

    def take(number: int) -> None:
        started.append(number)
        lock.acquire()
        order.append(number)
        time.sleep(0.001)
        lock.release()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(20)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(lock._waiting) <= number:
            time.sleep(0.0005)
    lock.release()
    for thread in threads:
        thread.join(5)
    assert order == list(range(20))
    lock.acquire()  # nobody has it any more
    lock.release()


def lock_of(database) -> FairLock:
    return database._lock._threads


@sqlite
@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_the_turn_ends_with_the_transaction(transactional_db, end):
    def write() -> None:
        try:
            with transaction.atomic():
                Job.objects.exists()
                assert lock_of(connection)._held
                if end == "rollback":
                    raise ZeroDivisionError
                if end == "close":
                    connections["default"].close()
        except Exception:
            assert end != "commit"

    write()
    assert not lock_of(connection)._held


@sqlite
def test_who_reads_waits_for_nobody(transactional_db):
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            begun.set()
            assert done.wait(10)

    def read() -> None:
        assert begun.wait(10)
        Job.objects.count()
        done.set()

    together(hold, read)
    assert done.is_set()


@sqlite
def test_a_transaction_inside_another_is_one_turn(transactional_db):
    with transaction.atomic():
        with transaction.atomic():
            Job.objects.exists()
        assert lock_of(connection)._held
    assert not lock_of(connection)._held


TAKE_A_TURN = """
import sys
from jobs.sqlite.base import Turns
turns = Turns(sys.argv[1])
turns.acquire()
print("got it", flush=True)
sys.stdin.read()
turns.release()
"""


def take_a_turn(database: str) -> subprocess.Popen:
    command = [sys.executable, "-c", TAKE_A_TURN, database]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def waits(pid: int) -> bool:
    """Whether a process waits for a lock on a file, as Linux says it."""
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_another_process_waits_for_its_turn_and_comes_before_who_has_just_written(tmp_path):
    database = str(tmp_path / "some.sqlite3")
    turns, order = Turns(database), []
    turns.acquire()
    with take_a_turn(database) as other:
        wait_until(lambda: waits(other.pid), 20, "The other process's waiting")

        def again() -> None:
            turns.acquire()
            order.append("we again")

        turns.release()
        thread = threading.Thread(target=again)
        thread.start()
        assert other.stdout.readline() == "got it\n"
        order.append("the other")
        other.stdin.close()
        thread.join(20)
    assert order == ["the other", "we again"]


def test_the_turn_of_a_process_that_was_killed_is_free(tmp_path):
    database = str(tmp_path / "some.sqlite3")
    with take_a_turn(database) as other:
        assert other.stdout.readline() == "got it\n"
        thread = threading.Thread(target=Turns(database).acquire)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        other.kill()
        thread.join(20)
    assert not thread.is_alive()
