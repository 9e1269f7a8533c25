"""The pictures in docs/screenshots: pages of a small site of sample prompts and answers, in three widths.

    python -m benchmarks.screenshots [--only judge] [--into FOLDER]

Look at each picture before you commit it.
"""

import argparse
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.servers import make_ready, place, winnow
from tests.stack import ROOT

FOLDER = ROOT / "docs" / "screenshots"
WINDOWS = {390: 844, 1024: 768, 1440: 900}  # pixels: width and height
LARGEST = 200_000  # bytes a picture


def nothing(page: Page) -> None:
    """Show the page as it comes."""


def ask_how_much_better(page: Page) -> None:
    page.keyboard.press("1")


def rank(page: Page) -> None:
    for key in ("2", "1", "=", "4"):
        page.keyboard.press(key)


@dataclass
class Picture:
    """A page as somebody sees it, after they have done something there."""

    name: str
    address: str
    who: str = "jonas"
    theme: str = "light"
    do: Callable[[Page], None] = nothing


PICTURES = [
    Picture("judge", "/p/kitchen/judge/"),
    Picture("rank", "/p/children/judge/", theme="dark", do=rank),
    Picture("second-question", "/p/letters/judge/", do=ask_how_much_better),
    Picture("review", "/p/kitchen/review/", who="mira"),
    Picture("numbers", "/p/kitchen/numbers/", who="mira"),
]


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__)
    wishes.add_argument("--only", default="", help="the pictures whose names begin so")
    wishes.add_argument("--into", type=Path, default=FOLDER)
    options = wishes.parse_args()
    pictures = [picture for picture in PICTURES if picture.name.startswith(options.only)]
    with place("sqlite") as home:
        make_ready(home)
        os.environ.update(home.environment, DJANGO_SETTINGS_MODULE="config.settings")
        django.setup()
        sessions = fill()
        with winnow(home) as server:
            take(pictures, f"http://127.0.0.1:{server.port}", sessions, options.into)


def fill() -> dict[str, str]:
    """Make three projects, one of them judged by three people over four weeks; return each person's session."""
    from django.test import Client

    from annotate.judging import best_of
    from generation.models import Policy
    from tests import filled, samples

    mira, jonas, lena, amal = (filled.person(name) for name in ("mira", "jonas", "lena", "amal"))
    policy = Policy.objects.create(name="base", path="base", fingerprint="f" * 64, tokenizer_fingerprint="t" * 64)

    def project(slug: str, name: str, *answered: tuple[Any, list[str]], **settings: Any) -> list[Any]:
        made = filled.make_project(slug, name, mira, [jonas, lena, amal], overlap=3, **settings)
        filled.begun(made, jonas)
        return filled.sample(made, policy, *answered)

    project(
        "children",
        "Answers for children",
        (samples.LEAVES, samples.LEAVES_ANSWERS),
        mode="rank",
        answers_per_comparison=4,
    )
    asks = {"asks_strength": True, "asks_reason": True}
    project("letters", "Letters", (samples.MEETING, samples.MEETING_ANSWERS), **asks)
    kitchen = project(
        "kitchen",
        "Kitchen and garden",
        (samples.SOURDOUGH, samples.SOURDOUGH_ANSWERS[:2]),
        (samples.EIGHT, samples.EIGHT_ANSWERS[2:4]),
        *samples.EXPLAIN,
    )
    filled.judge_many([jonas, lena, amal], kitchen[2:])
    filled.spread_over_weeks(kitchen[0].project)
    filled.say(lena, kitchen[1], best_of(0, 2, reason="It says how to store them."))
    filled.say(amal, kitchen[1], best_of(1, 2, reason="Shorter, and just as right."))
    filled.say(jonas, kitchen[1], best_of(0, 2))
    sessions = {}
    for who in (mira, jonas):
        client = Client()
        client.force_login(who)
        sessions[who.username] = client.cookies["sessionid"].value
    return sessions


def take(pictures: list[Picture], server: str, sessions: dict[str, str], into: Path) -> None:
    from tests.browser import CHROMIUM

    into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for picture in pictures:
            for width, height in WINDOWS.items():
                window = browser.new_context(
                    base_url=server,
                    viewport={"width": width, "height": height},
                    color_scheme=picture.theme,
                    has_touch=width < 500,
                    is_mobile=width < 500,
                )
                window.add_cookies([{"name": "sessionid", "value": sessions[picture.who], "url": server}])
                page = window.new_page()
                page.goto(picture.address)
                page.evaluate("document.fonts.ready")
                picture.do(page)
                page.wait_for_timeout(300)
                file = into / f"{picture.name}-{width}.png"
                file.write_bytes(small(page.screenshot()))
                print(f"{file.name}: {file.stat().st_size:,} bytes")
                window.close()
        browser.close()


def small(png: bytes) -> bytes:
    """Return the picture in 128 colours, which is a third of the bytes.

    Raises:
        ValueError: it is larger than a picture in the repository may be.
    """
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    if len(file.getvalue()) > LARGEST:
        raise ValueError(f"The picture has {len(file.getvalue()):,} bytes; {LARGEST:,} are allowed. Show less.")
    return file.getvalue()


if __name__ == "__main__":
    main()
