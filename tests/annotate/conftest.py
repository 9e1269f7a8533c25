"""Comparisons to judge, and a database that threads really share."""

import sqlite3
from itertools import count

import pytest
from django.db import connections


@pytest.fixture
def comparisons(project, add_prompts, sampled):
    """Return a function that makes comparisons of so many different answers each."""
    numbers = count(1)

    def make(how_many: int = 1, answers: int = 2):
        project.answers_per_comparison = answers
        project.save()
        known = set(project.prompts.values_list("pk", flat=True))
        prompts = add_prompts(*(f"Question {next(numbers)}?" for _ in range(how_many)))
        new = [prompt for prompt in prompts if prompt.pk not in known]
        return sampled({prompt: [f"Reply {i} to {prompt.text}" for i in range(answers)] for prompt in new})

    return make


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
