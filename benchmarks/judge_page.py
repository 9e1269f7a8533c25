"""The judge page as static/judge.js works it, over real HTTP, without a browser."""

import contextlib
import random
import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlencode

from benchmarks.load import Failed, Line, NothingLeft

BY_SCRIPT = {"X-Requested-With": "judge.js"}
SECONDS_IN_SIGHT = "4.2"


@dataclass
class Sheet:
    """A comparison as the page has it: what its form would send."""

    comparison: str  # its mask
    action: str
    fields: dict[str, str]


def read_sheet(html: str) -> Sheet | None:
    """Return the comparison in a page or a part of one; None when it says that there is nothing to judge."""
    found = re.search(r'class="sheet" data-comparison="(\w+)"', html)
    if found is None:
        return None
    form = html[html.index('<form class="choose"') :]
    hidden = dict(re.findall(r'<input type="hidden" name="(client_key|seen)" value="([^"]*)"', form))
    action = unescape(re.search(r'action="([^"]*)"', form)[1])
    return Sheet(found[1], action, {name: unescape(value) for name, value in hidden.items()})


class JudgePage:
    """One person's open page. With `looks_ahead` the next comparison is on hand before it is needed, as it is there."""

    def __init__(self, port: int, person: dict[str, str], slug: str, *, looks_ahead: bool = True, timeout: float = 60):
        self.name, self.slug, self.looks_ahead = person["name"], slug, looks_ahead
        self.line = Line(port, {"sessionid": person["session"]}, timeout)
        self.address = f"/p/{slug}/judge/"
        self.draw = random.Random(person["name"])
        self.visit = ""
        self.current: Sheet | None = None
        self.ahead: Sheet | None = None
        self.seen: list[str] = []
        self.reply_bytes = 0
        self.look_again = False

    # ---- as benchmarks.load has a person

    def begin(self) -> None:
        self.open()
        if self.looks_ahead:
            self.look_ahead()

    def loop(self) -> float:
        if self.current is None:
            raise NothingLeft
        seconds = self.submit(self.current, self.pick())
        if self.looks_ahead and self.ahead is None:
            self.look_ahead()
        return seconds

    def given(self) -> list[str]:
        return self.seen

    def end(self) -> None:
        with contextlib.suppress(Failed):  # a lease ends by itself
            self.post_plainly(f"{self.address}leave/", visit=self.visit)
        self.line.close()

    # ---- what the page does

    def open(self) -> None:
        """Load the whole page, after what is read before the first judgement."""
        html = self.get(self.address)
        if 'data-visit="' not in html:
            shown = re.findall(r'name="(guidelines|warning)" value="([^"]*)"', html)
            self.post_plainly(f"{self.address}start/", **{name: unescape(value) for name, value in shown})
            html = self.get(self.address)
        self.visit = re.search(r'data-visit="([^"]*)"', html)[1]
        self.ahead = None
        self.current = self.put_before(read_sheet(html))
        self.look_again = "data-look-again" in html

    def look_ahead(self) -> None:
        if self.current is None:
            return
        status, html, _ = self.line.send(
            "GET", f"{self.address}next/?have={self.current.comparison}&visit={self.visit}", headers=BY_SCRIPT
        )
        if status == 200 and (sheet := read_sheet(html)) and sheet.comparison != self.current.comparison:
            self.ahead = self.put_before(sheet)
        elif status not in (200, 204):
            raise Failed(f"GET next/: {status}")

    def pick(self) -> str:
        return self.draw.choice(("1", "2"))

    def submit(self, sheet: Sheet, choice: str) -> float:
        """Send a choice and put the next comparison in place; return the seconds from sending to the whole reply.

        The page puts what is on hand before the person at once, and the reply brings what comes after that.
        """
        on_hand = self.ahead
        body = self.body(sheet, choice, on_hand)
        status, html, seconds = self.line.send("POST", sheet.action, body, self.headers())
        self.reply_bytes = len(html.encode())
        if status != 200 or 'id="receipt"' not in html or 'id="tally"' not in html:
            raise Failed(f"POST {sheet.action}: {status}")
        self.placed(on_hand, html)
        return seconds

    def placed(self, on_hand: Sheet | None, html: str) -> None:
        """Go on to what was on hand, and keep what the reply brought."""
        fresh = self.put_before(read_sheet(html))
        self.look_again = "data-look-again" in html
        if on_hand is None:
            self.current, self.ahead = fresh, None
        else:
            self.current, self.ahead = on_hand, fresh if fresh and fresh.comparison != on_hand.comparison else None

    def body(self, sheet: Sheet, choice: str, on_hand: Sheet | None) -> str:
        sent = {**sheet.fields, "seconds": SECONDS_IN_SIGHT, "choice": choice}
        have = on_hand.comparison if on_hand else ""
        return urlencode({**sent, "have": have, "visit": self.visit})

    def put_before(self, sheet: Sheet | None) -> Sheet | None:
        if sheet:
            self.seen.append(sheet.comparison)
        return sheet

    # ---- requests

    def get(self, path: str) -> str:
        status, html, _ = self.line.send("GET", path)
        if status != 200:
            raise Failed(f"GET {path}: {status}")
        return html

    def post_plainly(self, path: str, **data: str) -> None:
        status, _, _ = self.line.send("POST", path, urlencode(data), self.headers())
        if status not in (200, 204, 302):
            raise Failed(f"POST {path}: {status}")

    def headers(self) -> dict[str, str]:
        token = {"X-CSRFToken": self.line.cookies["csrftoken"]} if "csrftoken" in self.line.cookies else {}
        return {**BY_SCRIPT, "Content-Type": "application/x-www-form-urlencoded", **token}


class FloorPage(JudgePage):
    """The same person, sending the same to the view of benchmarks.floor_urls instead."""

    def begin(self) -> None:
        self.open()
        assert self.current is not None
        self.sheet = self.current
        self.submit(self.sheet, "1")  # what the reply to it held is what the floor renders

    def loop(self) -> float:
        body = self.body(self.sheet, "1", None)
        status, html, seconds = self.line.send("POST", "/floor/", body, self.headers())
        if status != 200 or 'id="receipt"' not in html or 'data-comparison="' not in html:
            raise Failed(f"POST /floor/: {status} {html[:100]}")
        self.reply_bytes = len(html.encode())
        return seconds
