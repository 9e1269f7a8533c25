"""SQLite's write transactions take turns within a process."""

import threading
import time

import pytest
from django.db import connection, connections, transaction

from jobs.models import Job
from jobs.sqlite.base import FairLock
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
    return database._lock


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
