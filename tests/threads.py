"""Several threads at the same moment, each with a database connection of its own."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections


@pytest.fixture
def shared_database(transactional_db, tmp_path):
    """Let each thread have a connection of its own, as in production. To be asked for before any row is made.

    The tests' SQLite is one connection to a database in memory; for such a test it is copied to a file.
    """
    memory = connections["default"]
    if memory.vendor != "sqlite":
        yield
        return
    memory.ensure_connection()
    path, name = tmp_path / "race.sqlite3", memory.settings_dict["NAME"]
    with sqlite3.connect(path) as file:
        memory.connection.backup(file)
    file.close()
    connections.settings["default"]["NAME"] = str(path)
    connections["default"] = connections.create_connection("default")
    yield
    connections["default"].close()
    connections["default"] = memory
    connections.settings["default"]["NAME"] = name


def together(*calls: Callable[[], object]) -> list[object]:
    """Make the calls at the same moment and return what they return."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            barrier.wait(timeout=20)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(timeout=60) for future in [threads.submit(run, call) for call in calls]]
