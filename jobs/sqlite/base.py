"""Django's SQLite, whose write transactions take turns.

SQLite lets writers who wait try again after growing pauses: whoever comes last is often first, and with many threads
some wait for seconds. Here the threads of a process queue up before BEGIN IMMEDIATE, in the order they came, and the
first of them waits for other processes by locks on a file beside the database. A process that has just written cannot
write again before the one that waits has: it finds the place of the next one taken.
"""

import fcntl
import os
from collections import deque
from threading import Lock

from django.db.backends.sqlite3 import base


class FairLock:
    """A lock that goes to who has waited longest."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()

    def acquire(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            gate = Lock()
            gate.acquire()
            self._waiting.append(gate)
        gate.acquire()  # until it is handed over

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


NEXT, WRITING = 0, 1  # bytes of the file: who has the first waits for the second, and only one process does


class Turns:
    """The right to write to one database: of one thread in this process, and of one process."""

    def __init__(self, database: str) -> None:
        self._threads = FairLock()
        in_memory = database == ":memory:" or database.startswith("file:")
        self._file = None if in_memory else os.open(f"{database}-turns", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self) -> None:
        """Wait for this thread's turn, however long: a process stopped within a transaction stops all writers."""
        self._threads.acquire()
        if self._file is None:
            return
        try:  # a process's locks end with it, however it ends
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, NEXT)
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, WRITING)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, NEXT)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        try:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN)  # both
        finally:
            self._threads.release()


_turns: dict[str, Turns] = {}  # by the database's file
_guard = Lock()


def turns_of(database: str) -> Turns:
    with _guard:
        return _turns.get(database) or _turns.setdefault(database, Turns(database))


class DatabaseWrapper(base.DatabaseWrapper):
    _writes = False  # whether this connection has the lock

    def _start_transaction_under_autocommit(self) -> None:
        self._lock.acquire()
        self._writes = True
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # django-stubs leave it out
        except BaseException:
            self._let_go()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # django-stubs leave it out
        self._let_go()  # if it failed, Django rolls back

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # django-stubs leave it out
        finally:
            self._let_go()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # django-stubs leave it out
        finally:
            self._let_go()

    @property
    def _lock(self) -> Turns:
        return turns_of(str(self.settings_dict["NAME"]))

    def _let_go(self) -> None:
        if self._writes:
            self._writes = False
            self._lock.release()
