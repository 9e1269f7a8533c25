"""Is a judgement ever lost? `make soak`, or `python -m benchmarks.soak_annotate`.

People judge over real HTTP while the web server is killed (SIGKILL) and started again. They send what got no answer
again, under the same client key, as the page does; some submits arrive twice, and some after the page was left. Then
everybody judges all there is. What must hold at the end:

- every receipt that anybody got is stored exactly once, with that choice, and a ranking has its pair;
- no comparison was judged in time by more people than its overlap;
- none is stuck: everything was leased again and judged to the end, and no lease is left.

It says what does not hold, and exits with 1. Servers and databases are its own and are gone at the end.
"""

import argparse
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import inside, servers
from benchmarks.judge_page import JudgePage, Sheet
from benchmarks.load import Failed
from benchmarks.servers import Server

OVERLAP = 2
THINKING = 2.0  # seconds on average, spread from half to one and a half of it
WAITS = (0.25, 0.5, 1.0, 2.0)  # seconds before a submit is tried again; the page waits longer
PATIENCE = 20.0  # seconds for an answer, as static/judge.js has it
DOWN = 1.0  # seconds that the server stays dead
DRAIN = 600.0  # seconds, at most, for judging all that is left
TWICE, AFTER_LEAVING = 0.05, 0.02  # shares of the submits


@dataclass
class Plan:
    people: int = 64
    seconds: float = 120.0
    kills: int = 2
    folder: Path | None = None
    postgres: str | None = None


class StubbornPage(JudgePage):
    """A page that sends each choice until it has the receipt."""

    def __init__(self, port: int, person: dict[str, str], slug: str):
        super().__init__(port, person, slug, timeout=PATIENCE)
        self.receipts: list[dict[str, Any]] = []
        self.retries = 0
        self.wrong: list[str] = []

    def work(self, until: float) -> None:
        """Judge until that moment with time to think, then all there is without."""
        try:
            self.persist(self.begin)
            while time.monotonic() < until:
                if self.current is None:
                    self.persist(self.begin)
                else:
                    self.judge(self.current)
                time.sleep(self.draw.uniform(THINKING / 2, 1.5 * THINKING))
            self.drain(time.monotonic() + DRAIN)
        except Exception as error:  # a thread that dies quietly would look like somebody who has finished
            self.wrong.append(f"{self.name} stopped: {type(error).__name__}: {error}")
        finally:
            self.line.close()

    def drain(self, until: float) -> None:
        while time.monotonic() < until:
            if self.current is not None:
                self.judge(self.current)
                continue
            self.persist(self.begin)
            if self.current is None and not self.look_again:
                return
            if self.current is None:
                time.sleep(0.3)
        self.wrong.append(f"{self.name} did not get to the end of the queue within {DRAIN:.0f} s.")

    def judge(self, sheet: Sheet) -> None:
        choice = self.draw.choice(("1", "2", "1", "2", "tie", "bad"))
        if self.draw.random() < AFTER_LEAVING:
            self.persist(lambda: self.post_plainly(f"{self.address}leave/", visit=self.visit))
        on_hand = self.ahead
        body = self.body(sheet, choice, on_hand)
        html = self.persist(lambda: self.receive(sheet, body))
        self.receipts.append(
            {
                "person": self.name,
                "comparison": sheet.comparison,
                "client_key": sheet.fields["client_key"],
                "choice": choice,
            }
        )
        if self.draw.random() < TWICE:
            self.persist(lambda: self.receive(sheet, body))
        self.placed(on_hand, html)
        if self.ahead is None:
            self.persist(self.look_ahead)

    def receive(self, sheet: Sheet, body: str) -> str:
        status, html, _ = self.line.send("POST", sheet.action, body, self.headers())
        if status == 422:
            raise ValueError(f"a choice for comparison {sheet.comparison} was refused")
        if status != 200 or 'id="receipt"' not in html:
            raise Failed(f"POST {sheet.action}: {status}")
        return html

    def persist(self, ask: Any) -> Any:
        """Ask until the server answers as it should."""
        failures = 0
        while True:
            try:
                return ask()
            except Failed:
                if failures > 60:
                    raise
                self.retries += 1
                time.sleep(WAITS[min(failures, len(WAITS) - 1)])
                failures += 1


def soak(kind: str, plan: Plan) -> list[str]:
    """Run the soak on one kind of database, print what happened, and return what does not hold."""
    comparisons = round(plan.people * plan.seconds / THINKING / OVERLAP * 1.2) + plan.people
    with servers.place(kind, plan.folder, plan.postgres) as here:
        servers.make_ready(here)
        found = inside.call(here, "fill", people=plan.people, comparisons=comparisons, overlap=OVERLAP)
        with servers.winnow(here) as server:
            pages = [StubbornPage(server.port, person, found["slug"]) for person in found["people"]]
            started = time.monotonic()
            crowd = [threading.Thread(target=page.work, args=(started + plan.seconds,), daemon=True) for page in pages]
            for thread in crowd:
                thread.start()
            kill_and_restart(server, started, plan)
            judged = sum(len(page.receipts) for page in pages)
            for thread in crowd:
                thread.join()
            drained = time.monotonic() - started - plan.seconds
        receipts = [receipt for page in pages for receipt in page.receipts]
        wrong = [text for page in pages for text in page.wrong] + inside.call(here, "check_soak", receipts=receipts)
        late = inside.call(here, "count_late")
    retries = sum(page.retries for page in pages)
    if not retries:
        wrong.append("No request failed: the server was not killed in the midst of anything. Take more people.")
    print(
        f"{kind}: {plan.people} people, {plan.kills} kills in {plan.seconds:g} s: {judged} receipts, then "
        f"{len(receipts) - judged} more in {drained:.0f} s to the end of {comparisons} comparisons for {OVERLAP} each; "
        f"{retries} requests were sent again, {late} judgements came late. "
        f"{'All of it is stored once.' if not wrong else 'THIS DOES NOT HOLD:'}"
    )
    for text in wrong:
        print(f"  {text}")
    return wrong


def kill_and_restart(server: Server, started: float, plan: Plan) -> None:
    """Kill the server at even distances within the time, and return when that time is over."""
    for number in range(1, plan.kills + 1):
        wait_until(started + plan.seconds * number / (plan.kills + 1))
        server.kill()
        time.sleep(DOWN)
        server.start()
    wait_until(started + plan.seconds)


def wait_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=Plan.people)
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--kills", type=int, default=Plan.kills)
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), default=("sqlite", "postgres"))
    parser.add_argument("--folder", type=Path, help="where the data folders are made: on a real disk, not in memory")
    parser.add_argument("--postgres", help="the server's URL; DATABASE_URL by default, or the Makefile's POSTGRES_URL")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    plan = Plan(options.people, options.seconds, options.kills, options.folder, options.postgres)
    wrong = [text for kind in options.databases for text in soak(kind, plan)]
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
