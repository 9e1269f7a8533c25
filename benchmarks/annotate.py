"""How fast is the annotators' loop? `make judging`, or `python -m benchmarks.annotate`.

The loop is "submit a judgement, get the next comparison", over real HTTP with signed-in sessions, side by side for
Winnow (as its page does it, with the next comparison on hand, and without), Label Studio and the floor: a signed-in
view that makes one durable insert and renders the same template; and once more by turns, several times over, for the
ratios. Then what a million comparisons change, what a
person who has judged ten thousand open ones meets, and what goes over the wire. It prints Markdown for
docs/benchmarks.md. All servers and databases are its own, on this machine, and are gone at the end.
"""

import argparse
import contextlib
import math
import os
import platform
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import inside, label_studio, servers
from benchmarks.judge_page import FloorPage, JudgePage
from benchmarks.load import Failed, Measured, Person, measure
from benchmarks.servers import Place, Server
from benchmarks.wire import first_view

CROWDS = (1, 4, 16, 64)
COMPARED_AT = 16  # annotators, where Winnow is set beside Label Studio and the floor
THINKING = 5.0  # seconds on average, from 2.5 to 7.5
PARTS = ("winnow", "floor", "label-studio", "turns", "scale", "wire")
OURS, FLOOR, LABEL_STUDIO = "Winnow, next one ahead", "Floor", "Label Studio"
TIMES_LABEL_STUDIO, TIMES_FLOOR, SCALE, THINKING_P95 = 30.0, 2.5, 1.5, 0.100
FIRST_VIEW_BYTES, FIRST_VIEW_REQUESTS, NEXT_BYTES = 150_000, 10, 20_000


@dataclass
class Plan:
    """How much of everything is measured. Times in seconds."""

    crowds: tuple[int, ...] = CROWDS
    databases: tuple[str, ...] = ("sqlite", "postgres")
    closed: float = 15.0
    turn: float = 8.0
    turns: int = 7
    thinking: float = 60.0
    comparisons: int = 40_000
    tasks: int = 3_000  # of Label Studio: its import takes longer, and they are enough
    few: int = 1_000
    many: int = 1_000_000
    judged: int = 10_000
    scale_loops: int = 400  # of one person, less than `few`
    folder: Path | None = None
    postgres: str | None = None


QUICK = {
    "closed": 2.0,
    "turn": 1.0,
    "turns": 2,
    "thinking": 9.0,
    "comparisons": 3_000,
    "tasks": 300,
    "few": 500,
    "many": 5_000,
    "judged": 500,
}


@dataclass
class Row:
    what: str
    database: str
    measured: Measured


@dataclass
class Figures:
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wire: list[tuple[str, int, int, int]] = field(default_factory=list)  # what, bytes, requests, other hosts
    turns: dict[str, list[dict[str, Measured]]] = field(default_factory=dict)  # of a database; each what was measured
    next_bytes: int | None = None
    quick: bool = False

    def add(self, what: str, database: str, measured: Measured) -> None:
        self.rows.append(Row(what, database, measured))
        print(f"{what}, {database}: {line_of(measured)}", file=sys.stderr)
        for error in sorted(set(measured.errors))[:3]:
            print(f"  {error}", file=sys.stderr)

    def find(self, what: str, database: str, people: int, thinking: float = 0.0) -> Measured | None:
        for row in self.rows:
            found = (row.what, row.database, row.measured.people, row.measured.thinking)
            if found == (what, database, people, thinking):
                return row.measured
        return None


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    settings: dict[str, Any] = dict(QUICK) if options.quick else {}
    if options.quick:
        settings |= {"crowds": (1, 4), "scale_loops": 20}
    for name in ("closed", "thinking", "crowds", "databases"):
        if (value := getattr(options, name)) is not None:
            settings[name] = tuple(value) if isinstance(value, list) else value
    plan = Plan(**settings, folder=options.folder, postgres=options.postgres)
    figures = Figures(quick=options.quick)
    parts: dict[str, Callable[[Plan, str, Figures], None]] = {
        "winnow": measure_winnow,
        "floor": measure_floor,
        "label-studio": measure_label_studio,
        "turns": measure_turns,
        "scale": measure_scale,
        "wire": measure_wire,
    }
    for database in plan.databases:
        for name in options.only or PARTS:
            parts[name](plan, database, figures)
    print_tables(plan, figures)
    return print_goals(figures)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures mean nothing")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), help="both by default")
    parser.add_argument("--crowds", nargs="+", type=int, help=f"how many annotators; {CROWDS} by default")
    parser.add_argument("--closed", type=float, help="seconds of a closed loop (15)")
    parser.add_argument("--thinking", type=float, help=f"seconds of a loop with {THINKING:g} s of thinking (60)")
    parser.add_argument("--folder", type=Path, help="where the data folders are made: on a real disk, not in memory")
    parser.add_argument("--postgres", help="the server's URL; DATABASE_URL by default, or the Makefile's POSTGRES_URL")
    return parser.parse_args()


# ---- the parts


def measure_winnow(plan: Plan, database: str, figures: Figures) -> None:
    with winnow_place(plan, database, figures) as here:
        found = inside.call(
            here, "fill", people=max(plan.crowds), comparisons=plan.comparisons, judged=plan.comparisons // 20
        )
        note(figures, f"Texts: {found['source']}.")
        with servers.winnow(here) as server:

            def people(how_many: int, ahead: bool) -> list[Person]:
                chosen = found["people"][:how_many]
                return [JudgePage(server.port, person, found["slug"], looks_ahead=ahead) for person in chosen]

            for what, ahead in ((OURS, True), ("Winnow, nothing ahead", False)):
                measure_crowds(plan, database, figures, what, server, lambda many, ahead=ahead: people(many, ahead))


def measure_floor(plan: Plan, database: str, figures: Figures) -> None:
    with winnow_place(plan, database, figures) as here:
        found = inside.call(here, "fill", people=max(plan.crowds), comparisons=4 * max(plan.crowds) * len(plan.crowds))
        inside.call(here, "floor_table")
        with servers.winnow(here, "benchmarks.floor") as server:
            for how_many in plan.crowds:
                people = [FloorPage(server.port, person, found["slug"]) for person in found["people"][:how_many]]
                figures.add(FLOOR, database, measure(people, server, plan.closed))


def measure_label_studio(plan: Plan, database: str, figures: Figures) -> None:
    try:
        note(figures, f"{label_studio.install()}, as `label-studio start` runs it: Django's development server.")
        with servers.place(database, plan.folder, plan.postgres) as here, label_studio.server(here) as server:
            measure_label_stream(plan, here, server, figures)
    except (label_studio.NotInstalled, RuntimeError, Failed) as error:
        note(figures, f"{database}: Label Studio was not measured to the end: {error}")


def measure_label_stream(plan: Plan, here: Place, server: Server, figures: Figures) -> None:
    texts, _ = inside.texts()
    tasks = [texts[number % len(texts)] for number in range(plan.tasks)]
    found = label_studio.fill(here, server.port, max(plan.crowds), tasks)

    def people(how_many: int) -> list[Person]:
        chosen = found["people"][:how_many]
        return [label_studio.LabelStream(server.port, person, found["project"]) for person in chosen]

    measure_crowds(plan, here.kind, figures, LABEL_STUDIO, server, people)
    if here.kind == "sqlite":
        cookies = {"sessionid": found["people"][0]["session"]}
        path = f"/projects/{found['project']}/data?labeling=1"
        look(figures, "Label Studio, first view", server, path, cookies, ".lsf-main-view, .lsf-editor")


def measure_turns(plan: Plan, database: str, figures: Figures) -> None:
    """Measure Winnow, the floor and Label Studio by turns: a machine that is slow for a while is slow for all."""
    how_many = min(COMPARED_AT, max(plan.crowds))
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(winnow_place(plan, database, figures))
        found = inside.call(here, "fill", people=how_many, comparisons=plan.comparisons, judged=plan.comparisons // 20)
        ours = stack.enter_context(servers.winnow(here))
        below = stack.enter_context(winnow_place(plan, database, figures))
        least = inside.call(below, "fill", people=how_many, comparisons=4 * how_many * plan.turns)
        inside.call(below, "floor_table")
        floor = stack.enter_context(servers.winnow(below, "benchmarks.floor"))
        crowds: dict[str, tuple[Server, Callable[[], list[Person]]]] = {
            OURS: (ours, lambda: [JudgePage(ours.port, person, found["slug"]) for person in found["people"]]),
            FLOOR: (floor, lambda: [FloorPage(floor.port, person, least["slug"]) for person in least["people"]]),
        }
        try:
            note(figures, f"{label_studio.install()}, as `label-studio start` runs it: Django's development server.")
            there = stack.enter_context(servers.place(database, plan.folder, plan.postgres))
            other = stack.enter_context(label_studio.server(there))
            texts, _ = inside.texts()
            tasks = [texts[number % len(texts)] for number in range(plan.tasks)]
            theirs = label_studio.fill(there, other.port, how_many, tasks)
            crowds[LABEL_STUDIO] = (
                other,
                lambda: [label_studio.LabelStream(other.port, one, theirs["project"]) for one in theirs["people"]],
            )
        except (label_studio.NotInstalled, RuntimeError, Failed) as error:
            note(figures, f"{database}: Label Studio took no turns: {error}")
        turns = figures.turns.setdefault(database, [])
        for _ in range(plan.turns):
            turns.append({what: measure(people(), server, plan.turn) for what, (server, people) in crowds.items()})
            print(f"by turns, {database}: {turn_of(turns[-1])}", file=sys.stderr)


def measure_crowds(
    plan: Plan, database: str, figures: Figures, what: str, server: Server, people: Callable[[int], list[Person]]
) -> None:
    """Measure each crowd in a closed loop and with time to think."""
    for how_many in plan.crowds:
        figures.add(what, database, measure(people(how_many), server, plan.closed))
        figures.add(what, database, measure(people(how_many), server, plan.thinking, thinking=THINKING))


def measure_scale(plan: Plan, database: str, figures: Figures) -> None:
    for comparisons in (plan.few, plan.many):
        with winnow_place(plan, database, figures) as here:
            started = time.monotonic()
            found = inside.call(here, "fill", people=1, comparisons=comparisons)
            print(f"{comparisons:,} comparisons made in {time.monotonic() - started:.0f} s", file=sys.stderr)
            with servers.winnow(here) as server:
                page = JudgePage(server.port, found["people"][0], found["slug"])
                measured = measure([page], server, 300, loops=plan.scale_loops)
                figures.add(f"{comparisons:,} comparisons", database, measured)
    with winnow_place(plan, database, figures) as here:
        found = inside.call(here, "fill", people=1, comparisons=2 * plan.judged, overlap=3)
        (person,) = found["people"]
        inside.call(here, "judge_past", person=person["name"], how_many=plan.judged)
        what = f"{plan.judged:,} judged and open, called back to the start"
        with servers.winnow(here) as server:
            page = JudgePage(server.port, person, found["slug"])
            started = time.monotonic()
            page.open()
            note(figures, f"{database}: the first page, {what}: {time.monotonic() - started:.2f} s.")
            figures.add(what, database, measure([page], server, 300, loops=plan.scale_loops, overlap=3))


def measure_wire(plan: Plan, database: str, figures: Figures) -> None:
    if figures.next_bytes is not None:
        return  # what is sent does not depend on the database
    with winnow_place(plan, database, figures) as here:
        found = inside.call(here, "fill", people=1, comparisons=50)
        bare = inside.call(here, "fill", people=1, comparisons=50, slug="bare", bare=True)
        with servers.winnow(here) as server:
            page = JudgePage(server.port, found["people"][0], found["slug"])
            page.open()  # the guidelines are read
            look(figures, "Winnow, first view", server, page.address, page.line.cookies, "body[data-ahead]")
            alone = JudgePage(server.port, bare["people"][0], bare["slug"])
            alone.begin()
            alone.loop()
            figures.next_bytes = alone.reply_bytes
            page.end()
            alone.end()


def look(figures: Figures, what: str, server: Server, path: str, cookies: dict[str, str], ready: str) -> None:
    try:
        view = first_view(server.port, path, cookies, ready)
    except Exception as error:  # a browser that is missing or stuck costs this row, not the run
        note(figures, f"{what} was not measured: {str(error).splitlines()[0]}")
        return
    figures.wire.append((what, view.bytes, len(view.requests), len(view.other_hosts)))
    print(f"{what}: {view.bytes:,} bytes, {len(view.requests)} requests", file=sys.stderr)
    for address in view.requests[:40]:
        print(f"  {address}", file=sys.stderr)


@contextlib.contextmanager
def winnow_place(plan: Plan, database: str, figures: Figures) -> Iterator[Place]:
    with servers.place(database, plan.folder, plan.postgres) as here:
        servers.make_ready(here)
        note(figures, f"{database}: {inside.call(here, 'durability')}.")
        yield here


def note(figures: Figures, text: str) -> None:
    if text not in figures.notes:
        figures.notes.append(text)


# ---- printing


def line_of(measured: Measured) -> str:
    """Return a table's cells: people, thinking, loops a second, p50, p95, p99, slowest, errors, doubles, costs."""
    loops = max(len(measured.times), 1)
    milliseconds = [f"{1000 * measured.percentile(percent):,.0f}" for percent in (50, 95, 99, 100)]
    costs = [f"{1000 * cpu / loops:.1f}" for cpu in (measured.server_cpu, measured.own_cpu)]
    thinking = f"{measured.thinking:g} s" if measured.thinking else "none"
    doubles = f"{measured.doubles} of {measured.given}"
    cells = [measured.people, thinking, f"{measured.loops_per_second:.1f}", *milliseconds, len(measured.errors)]
    return " | ".join(str(cell) for cell in (*cells, doubles, *costs))


def turn_of(turn: dict[str, Measured]) -> str:
    return ", ".join(
        f"{what} {measured.loops_per_second:.1f}/s, p95 {1000 * measured.percentile(95):,.0f} ms"
        for what, measured in turn.items()
    )


def print_turns(figures: Figures) -> None:
    for database, turns in figures.turns.items():
        names = list(turns[0])
        print(f"\n| {database}, by turns | " + " | ".join(f"{name}, loops/s | p95 ms" for name in names) + " |")
        print("| --- |" + " --- |" * 2 * len(names))
        for number, turn in enumerate(turns, start=1):
            cells = [f"{turn[name].loops_per_second:.1f} | {1000 * turn[name].percentile(95):,.0f}" for name in names]
            print(f"| {number} | {' | '.join(cells)} |")


def print_tables(plan: Plan, figures: Figures) -> None:
    print(f"\n`python -m benchmarks.annotate {shlex.join(sys.argv[1:])}`, {time.strftime('%Y-%m-%d')}\n")
    if figures.quick:
        print("A smoke run: these figures mean nothing.\n")
    print(
        "| what | database | annotators | thinking | loops/s | p50 ms | p95 ms | p99 ms | slowest ms | errors "
        "| given to too many | server's CPU ms/loop | generator's |"
    )
    print("| --- |" + " --- |" * 12)
    for row in figures.rows:
        print(f"| {row.what} | {row.database} | {line_of(row.measured)} |")
    print_turns(figures)
    if figures.wire:
        print("\n| over the wire | bytes | requests | other hosts |\n| --- | --- | --- | --- |")
        for what, size, requests, hosts in figures.wire:
            print(f"| {what} | {size:,} | {requests} | {hosts} |")
    if figures.next_bytes is not None:
        print(f"| Winnow, a reply with the next comparison, its text left out | {figures.next_bytes:,} | 1 | 0 |")
    print(f"\nMachine: {machine()}. {versions()}. {' '.join(figures.notes)}")


def machine() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    processor = names[0] if names else platform.machine()
    return f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB; load at the end {load}"


def versions() -> str:
    names = ("Django", "waitress", "psycopg")
    import sqlite3

    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return f"Python {platform.python_version()}, {packages}, SQLite {sqlite3.sqlite_version}"


def print_goals(figures: Figures) -> int:
    """Print each goal that was measured and whether it is met. Return 1 if one is missed (never after a smoke run)."""
    verdicts = list(goals(figures))
    print()
    for text, met in verdicts:
        print(f"- {text}: {'met' if met else 'MISSED'}")
    return int(not figures.quick and not all(met for _, met in verdicts))


def ratios(turns: list[dict[str, Measured]], at: str) -> Iterator[tuple[str, bool]]:
    def median(ratio: Callable[[dict[str, Measured]], float]) -> tuple[float, str]:
        found = sorted(ratio(turn) for turn in turns)
        return statistics.median(found), f"{found[0]:.2f} to {found[-1]:.2f}"

    if turns and LABEL_STUDIO in turns[0]:
        faster, spread = median(lambda turn: per_second(turn, OURS) / per_second(turn, LABEL_STUDIO))
        yield f"{at}: {faster:.1f} times Label Studio's loops/s (30; {spread})", faster >= TIMES_LABEL_STUDIO
        sooner, spread = median(lambda turn: turn[LABEL_STUDIO].percentile(95) / turn[OURS].percentile(95))
        yield f"{at}: its p95 is {sooner:.1f} times ours (30; {spread})", sooner >= TIMES_LABEL_STUDIO
    if turns:
        ratio, spread = median(lambda turn: per_second(turn, FLOOR) / per_second(turn, OURS))
        yield f"{at}: a loop takes {ratio:.2f} times the floor (at most {TIMES_FLOOR}; {spread})", ratio <= TIMES_FLOOR


def per_second(turn: dict[str, Measured], what: str) -> float:
    return max(turn[what].loops_per_second, 1e-9)


def goals(figures: Figures) -> Iterator[tuple[str, bool]]:
    for database in sorted({row.database for row in figures.rows} | set(figures.turns)):
        yield from ratios(figures.turns.get(database, []), f"{database}, {COMPARED_AT} annotators, median of turns")
        if thinking := figures.find(OURS, database, max(CROWDS), THINKING):
            p95 = thinking.percentile(95)
            yield f"{database}: p95 with thinking {1000 * p95:.0f} ms (below 100)", p95 < THINKING_P95
        yield from scale_goals(figures, database)
    ours = [row.measured for row in figures.rows if row.what not in (FLOOR, LABEL_STUDIO)]
    if ours := [*ours, *(turn[OURS] for turns in figures.turns.values() for turn in turns)]:
        yield "no comparison of Winnow's given to too many", not any(measured.doubles for measured in ours)
        yield "no errors of Winnow's", not any(measured.errors for measured in ours)
    for what, size, requests, hosts in figures.wire:
        if what.startswith("Winnow"):
            fits = size < FIRST_VIEW_BYTES and requests < FIRST_VIEW_REQUESTS and not hosts
            yield f"first view {size:,} bytes in {requests} requests (below 150,000 in 10, one host)", fits
    if figures.next_bytes is not None:
        yield f"next comparison {figures.next_bytes:,} bytes (below 20,000)", figures.next_bytes < NEXT_BYTES


def scale_goals(figures: Figures, database: str) -> Iterator[tuple[str, bool]]:
    """Compare the p95 of the smallest set of comparisons with the others', the bad case among them."""
    rows = [row for row in figures.rows if row.database == database and "comparisons" in row.what.split()]
    bad = [row for row in figures.rows if row.database == database and "judged and open" in row.what]
    if not rows:
        return
    base = rows[0].measured.percentile(95)
    for row in [*rows[1:], *bad]:
        ratio = row.measured.percentile(95) / base if base else math.inf
        yield f"{database}: p95 at {row.what} {ratio:.2f} times p95 at {rows[0].what} (at most {SCALE})", ratio <= SCALE


if __name__ == "__main__":
    sys.exit(main())
