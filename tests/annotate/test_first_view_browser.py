"""What the first view of a judge page with formulas weighs, on a machine that has no font for them."""

import pytest

from benchmarks.annotate import FIRST_VIEW_BYTES
from tests.browser import start_judging, visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MOST_FONT_BYTES = 110_000  # of the first view; compressed, the page and its other files take about 40,000
FORMULAS = r"""*So* **far**: $\sum_{i=1}^n \frac{1}{i^2} \le \frac{\pi^2}{6}$, and `code`.

$$\left(\begin{matrix}a & b\\ c & d\end{matrix}\right) \vec{v} = \sqrt{\int_0^\infty e^{-x^2}}, \quad x \in \mathbb{R}$$
"""


def test_the_fonts_leave_room_for_the_page(live_server, browser, bob, project, add_prompts, sampled):
    (prompt,) = add_prompts("Which sum?")
    sampled({prompt: [FORMULAS, f"{FORMULAS} again"]})
    window = visit(browser, live_server.url, bob)
    page = window.new_page()
    start_judging(page)
    page.evaluate("document.fonts.ready")
    fonts = {}
    page.on("response", lambda response: fonts.update({response.url: response}))
    chromium = window.new_cdp_session(page)
    chromium.send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.reload(wait_until="networkidle")
    weights = {url.split("/")[-1]: len(got.body()) for url, got in fonts.items() if url.endswith(".woff2")}
    window.close()
    assert [name for name in weights if name.startswith("stix")] == ["stix-two-math-common.woff2"]
    assert any("italic" in name for name in weights)
    assert sum(weights.values()) < MOST_FONT_BYTES < FIRST_VIEW_BYTES
