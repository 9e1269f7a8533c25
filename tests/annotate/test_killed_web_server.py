"""The web server is killed under people who judge: the small version of `make soak`, on the database at hand."""

import os

import pytest

from benchmarks.soak_annotate import Plan, soak

pytestmark = pytest.mark.fault


def test_no_judgement_is_lost_or_doubled():
    kind = "postgres" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "sqlite"
    assert soak(kind, Plan(people=6, seconds=15, kills=1)) == []
