"""People at work, a thread each, and what is measured of them.

http.client and threads: a request costs this process some 0.3 ms, a third of what asyncio with httpx takes, and the
two cores are needed by the server. What it cost is reported beside every figure.
"""

import http.client
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.servers import Server

WARM_UP = 3.0  # seconds of a closed loop that do not count: connections are made; at most a fifth of the time that does


class Person(Protocol):
    """Somebody who judges through a server's own addresses."""

    name: str

    def begin(self) -> None:
        """Open the page; what comes first is then on hand."""

    def loop(self) -> float:
        """Submit a judgement and get the next thing to judge; return the seconds that took.

        Raises:
            Failed: the server refused, or could not be reached.
            NothingLeft: there is nothing more to judge.
        """

    def given(self) -> list[int]:
        """Return all that was put before this person so far."""

    def end(self) -> None:
        """Leave the page, and close the connection."""


class Failed(Exception):
    """A request that did not bring what it should."""


class NothingLeft(Exception):
    """All is judged."""


@dataclass
class Measured:
    """What a number of people met. Times are in seconds."""

    people: int
    thinking: float
    times: list[float] = field(default_factory=list)
    duration: float = 0.0
    errors: list[str] = field(default_factory=list)
    doubles: int = 0
    given: int = 0  # different things that were put before somebody
    ran_out: int = 0  # people who found nothing more to judge
    server_cpu: float = 0.0
    own_cpu: float = 0.0

    @property
    def loops_per_second(self) -> float:
        return len(self.times) / self.duration

    def percentile(self, percent: float) -> float:
        """Return the time within which so many percent of the loops were done (nearest rank)."""
        if not self.times:
            return math.nan
        ordered = sorted(self.times)
        return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def measure(
    people: Sequence[Person], server: Server, seconds: float, *, thinking: float = 0.0, overlap: int = 1, loops: int = 0
) -> Measured:
    """Let the people work side by side, and return what they met.

    With `thinking` (seconds on average, spread from half to one and a half of it) they start spread over that time.
    With `loops` each does so many, and `seconds` is only the most it may take.
    """
    measured = Measured(len(people), thinking)
    begin_all(people, measured)
    warm_up = 0.0 if loops else (1.5 * thinking if thinking else min(WARM_UP, seconds / 5))
    started = time.monotonic()
    window = (started + warm_up, started + warm_up + seconds)
    crowd = [
        threading.Thread(target=work, args=(person, measured, window, thinking, loops), daemon=True)
        for person in people
    ]
    for thread in crowd:
        thread.start()
    time.sleep(warm_up)
    server_cpu, own_cpu = server.cpu_seconds(), time.process_time()
    for thread in crowd:
        thread.join()
    ended = time.monotonic()
    measured.duration = max(min(ended, window[1]) - window[0], 1e-9)
    # What was under way at the end is work of the server too, but it is counted in no loop: scaled down.
    share = min(measured.duration / (ended - window[0]), 1.0)
    measured.server_cpu = (server.cpu_seconds() - server_cpu) * share
    measured.own_cpu = (time.process_time() - own_cpu) * share
    measured.doubles, measured.given = double_assignments(people, overlap)
    for person in people:
        person.end()
    return measured


def begin_all(people: Sequence[Person], measured: Measured) -> None:
    """Open the pages, one after the other: that is not what is measured."""
    for person in people:
        try:
            person.begin()
        except NothingLeft:
            measured.ran_out += 1
        except Failed as error:
            measured.errors.append(str(error))


def work(person: Person, measured: Measured, window: tuple[float, float], thinking: float, loops: int) -> None:
    draw = random.Random(person.name)
    begin, end = window
    if thinking:
        time.sleep(draw.uniform(0, 1.5 * thinking))
    done = 0
    while (now := time.monotonic()) < end and (not loops or done < loops):
        try:
            seconds = person.loop()
        except NothingLeft:
            measured.ran_out += 1
            return
        except Failed as error:
            if begin <= now:
                measured.errors.append(str(error))
            time.sleep(0.2)
            continue
        done += 1
        if begin <= now and now + seconds <= end:
            measured.times.append(seconds)
        if thinking:
            time.sleep(draw.uniform(thinking / 2, 1.5 * thinking))


def double_assignments(people: Sequence[Person], overlap: int) -> tuple[int, int]:
    """Return how many things were put before more people than `overlap`, and how many things there were."""
    holders: dict[int, set[str]] = defaultdict(set)
    for person in people:
        for thing in person.given():
            holders[thing].add(person.name)
    return sum(len(names) > overlap for names in holders.values()), len(holders)


class Line:
    """A connection that is kept open, as a browser keeps it, with its cookies."""

    def __init__(self, port: int, cookies: dict[str, str], timeout: float = 60.0):
        self.port, self.cookies, self.timeout = port, dict(cookies), timeout
        self.connection: http.client.HTTPConnection | None = None

    def send(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, float]:
        """Return the status, the text, and the seconds from the first byte sent to the last one read.

        Raises:
            Failed: the server cannot be reached, or did not answer in time.
        """
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Cookie": cookies, "Accept-Encoding": "gzip", **(headers or {})}
        started = time.monotonic()
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self.connection.request(method, path, body, sent)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failed(f"{method} {path}: {type(error).__name__} {error}") from error
        seconds = time.monotonic() - started
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response.status, text.decode(), seconds

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
