"""Django's SQLite, whose write transactions take turns within a process.

SQLite lets writers who wait try again after growing pauses: whoever comes last is often first, and with many threads
some wait for seconds. Here the threads of a process queue up before BEGIN IMMEDIATE, in the order they came.
"""

from collections import defaultdict, deque
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


_locks: defaultdict[str, FairLock] = defaultdict(FairLock)  # by the database's file


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
    def _lock(self) -> FairLock:
        return _locks[str(self.settings_dict["NAME"])]

    def _let_go(self) -> None:
        if self._writes:
            self._writes = False
            self._lock.release()
