"""Each query of the loop finds its rows by an index, however much there is. Dropping any of them is noticed."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from annotate.gold import add
from annotate.judging import best_of
from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision, Seat, Slot
from annotate.review import settle
from benchmarks.inside import judge_past, made_up_texts, make_comparisons
from generation.models import Completion
from projects.models import Project, Prompt
from tests.annotate.test_judge_page import BY_SCRIPT, JUDGE, choose

GROWING = {
    model._meta.db_table
    for model in (Comparison, Slot, Completion, Prompt, Lease, Seat, Judgement, Revision, PreferencePair)
}
MANY = 2_000  # comparisons
JUDGED = 500  # of them by the person themselves, and still open
FEW_STEPS = 3_000  # of SQLite's virtual machine: a walk over five hundred rows takes more
FEW_ROWS = 100  # that PostgreSQL reads for a query
FEW = FEW_ROWS if connection.vendor == "postgresql" else FEW_STEPS
SOME_STEPS, SOME_ROWS = 15_000, 3_000  # where a repeat is drawn

postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="This is about PostgreSQL.")


@pytest.fixture
def bobs(client, bob, project):
    """Bob's browser. He and others have judged hundreds of comparisons that are still open; thousands are at work."""
    project.overlap = 3
    project.save()
    make_comparisons(project, MANY, 3, made_up_texts()[:50])
    judge_past(bob.username, JUDGED)
    others = User.objects.bulk_create(User(username=f"other {number}", password="!") for number in range(MANY))
    Seat.objects.bulk_create(Seat(project=project, person=other, place=2**48) for other in others)
    for number in (2, 3):
        judge_past(f"other {number}", JUDGED)
    last = Comparison.objects.order_by("-place")[:MANY]
    soon = Now() + timedelta(minutes=30)
    Lease.objects.bulk_create(
        Lease(project=project, comparison=comparison, person=other, shown=[0, 1], expires_at=soon)
        for comparison, other in zip(last, others, strict=False)
        if comparison.pk % 2
    )
    analyze()
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    client.get(JUDGE)  # what is left is counted now, and then not for some minutes
    return client


def analyze() -> None:
    """As autovacuum does; SQLite is never told."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


@pytest.fixture
def loop(bobs) -> list[str]:
    """The SQL of the page: the next one is fetched ahead, two choices are sent, and it is opened again later."""
    page = bobs.get(JUDGE)
    with CaptureQueriesContext(connection) as turn:
        ahead = bobs.get(f"{JUDGE}next/?have={comparison_of(page)}", headers=BY_SCRIPT)
        assert choose(bobs, page, "1", script=True, have=comparison_of(ahead)).status_code == 200
        assert choose(bobs, ahead, "tie", script=True, have="").status_code == 200
    judge_past("other 1", JUDGED)  # what Bob said last is no longer the last thing that anybody said
    with CaptureQueriesContext(connection) as opened:
        assert bobs.get(JUDGE).status_code == 200
    asked = [query["sql"] for query in [*turn, *opened] if re.match(r"SELECT|UPDATE|DELETE", query["sql"])]
    assert len(asked) > 20
    return asked


@pytest.fixture
def loop_with_checks(bobs, alice, project) -> list[str]:
    """The SQL of the page where each comparison is gold, and then a repeat, and people may write better answers."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Comparison]):
            cursor.execute(statement)
    add_gold(Comparison.objects.order_by("-place")[:3], alice)  # nobody has judged these
    for number in range(10, 16):  # what Bob said is far behind what others said since
        judge_past(f"other {number}", JUDGED)
    analyze()
    Project.objects.update(edits=True, gold_percent=100)
    page = bobs.get(JUDGE)
    with CaptureQueriesContext(connection) as turn:
        page = choose(bobs, page, "1", script=True)
        page = choose(bobs, page, "1", script=True)
        Project.objects.update(gold_percent=0, repeat_percent=100)
        page = choose(bobs, page, "1", script=True)
        page = choose(bobs, page, "1", script=True)
    judged = Revision.objects.order_by("-pk").values_list("judgement__comparison__purpose", flat=True)[:2]
    assert list(judged) == ["repeat", "gold"]
    return [query["sql"] for query in turn if re.match(r"SELECT|UPDATE|DELETE", query["sql"])]


def add_gold(originals, by) -> None:
    for original in originals:
        settle(original, best_of(0, original.slots), by, list(range(original.slots)))
    add(originals, "gold", by)


def comparison_of(page) -> str:
    return re.search(r'data-comparison="(\w+)"', page.content.decode())[1]


def tables_of(sql: str) -> dict[str, set[str]]:
    """Return which table each name stands for in a query: in its subqueries one name can stand for several."""
    tables: dict[str, set[str]] = {}
    for table, alias in re.findall(r'(?:FROM|JOIN|UPDATE)\s+"(\w+)"(?:\s+(?:AS\s+)?"?([A-Z]+\d+)"?)?', sql):
        tables.setdefault(alias or table, set()).add(table)
    return tables


def scans(sql: str) -> Iterator[str]:
    """Yield how the database would walk through a table that grows, instead of looking up in an index."""
    if connection.vendor == "postgresql":
        for node in nodes(explain(f"EXPLAIN (FORMAT JSON) {sql}")):
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING:
                yield f"Seq Scan on {node['Relation Name']}"
            # An incremental sort behind a limit stops early; `work` counts what it read.
            if node["Node Type"] == "Sort" and node["Plan Rows"] > FEW_ROWS:
                yield f"Sort of {node['Plan Rows']} rows"
        return
    tables = tables_of(sql)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%', '%%')}", [])
        for *_, detail in cursor.fetchall():
            # Where a name stands for a small table too, `work` tells.
            if (walk := re.match(r"SCAN (\w+)", detail)) and tables.get(walk[1], {""}) <= GROWING:
                yield detail


def explain(sql: str) -> dict:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (plan,) = cursor.fetchone()
    return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]


def nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def work(sql: str) -> int:
    """Run a query and take it back; return the rows that PostgreSQL read for it, or the steps that SQLite took."""
    with transaction.atomic():
        try:
            return rows_read(sql) if connection.vendor == "postgresql" else steps_taken(sql)
        finally:
            transaction.set_rollback(True)


def rows_read(sql: str) -> int:
    left_out = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")
    plan = explain(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
    return sum(
        int((node["Actual Rows"] + sum(node.get(name, 0) for name in left_out)) * node["Actual Loops"])
        for node in nodes(plan)
    )


def steps_taken(sql: str) -> int:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 10

    connection.connection.set_progress_handler(step, 10)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%"), [])
            if sql.startswith("SELECT"):
                cursor.fetchall()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps


def faults(loop: list[str], few: int = FEW) -> dict[str, list[str]]:
    """Return the queries that walk through a table or take too much work, and what is wrong with each."""
    found = {sql: list(scans(sql)) for sql in loop}
    for sql in found:
        if (done := work(sql)) > few:
            found[sql].append(f"takes {done} rows or steps, at most {few} are few")
    return {sql: wrong for sql, wrong in found.items() if wrong}


def test_no_query_of_the_loop_walks_through_a_table(loop):
    assert faults(loop) == {}


def test_nor_does_one_that_draws_checks(loop_with_checks):
    """A repeat is drawn among some two hundred of the person's own judgements, however much others said."""
    few = SOME_ROWS if connection.vendor == "postgresql" else SOME_STEPS
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # which would rather read all of tables as small as these
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off")
            cursor.execute("SET LOCAL enable_mergejoin = off")
    assert faults(loop_with_checks, few) == {}


@postgres
def test_an_index_fits_each_query_even_while_tables_are_small(loop):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert [sql for sql in loop for found in scans(sql) if found.startswith("Seq")] == []


# Those that the loop cannot do without. The others are of constraints and foreign keys.
NEEDED = ["open_in_order", "day_of_person"]


def test_a_dropped_index_is_noticed(loop):
    assert {table for sql in loop for tables in tables_of(sql).values() for table in tables} >= GROWING - {
        "annotate_preferencepair"
    }
    before = faults(loop)
    for name in NEEDED:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX {name}")
            assert faults(loop).keys() - before.keys(), name
            transaction.set_rollback(True)
