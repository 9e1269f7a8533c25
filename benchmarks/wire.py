"""What a first view costs over the wire: a real Chromium with an empty cache counts bytes, requests and hosts."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CHROMIUM = "/usr/bin/chromium"
QUIET_MS = 30_000  # at most, until the network is quiet


@dataclass
class FirstView:
    """Bytes are what came over the wire: headers and compressed bodies."""

    bytes: int = 0
    requests: list[str] = field(default_factory=list)  # their addresses
    other_hosts: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)

    def hear(self, chromium: Callable, host: str) -> None:
        """Count what this DevTools session tells; `data:` addresses are no requests."""

        def sent(event: dict) -> None:
            parts = urlsplit(event["request"]["url"])
            if parts.scheme not in ("http", "https"):
                return
            self.requests.append(event["request"]["url"])
            if parts.hostname != host:
                self.other_hosts.add(parts.hostname or "")

        def finished(event: dict) -> None:
            self.bytes += int(event["encodedDataLength"])

        chromium.on("Network.requestWillBeSent", sent)
        chromium.on("Network.loadingFinished", finished)
        chromium.on("Network.loadingFailed", lambda event: self.failed.append(event.get("errorText", "")))


def first_view(port: int, path: str, cookies: dict[str, str], ready: str) -> FirstView:
    """Open a page and wait until `ready` (a selector) is there and the network is quiet.

    Raises:
        RuntimeError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    if not Path(CHROMIUM).exists():
        raise RuntimeError(f"There is no {CHROMIUM}. On Debian: apt-get install chromium")
    view, server = FirstView(), f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], env={**os.environ, "LANG": "C.UTF-8"}
        )
        try:
            window = browser.new_context(viewport={"width": 1440, "height": 900})
            window.add_cookies([{"name": name, "value": value, "url": server} for name, value in cookies.items()])
            page = window.new_page()
            chromium = window.new_cdp_session(page)
            chromium.send("Network.enable")
            view.hear(chromium, "127.0.0.1")
            page.goto(server + path)
            page.wait_for_selector(ready, timeout=QUIET_MS)
            page.wait_for_load_state("networkidle", timeout=QUIET_MS)
        finally:
            browser.close()
    return view
