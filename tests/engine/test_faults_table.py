"""The table of known faults names tests that are there."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
ROWS = [line for line in (FOLDER / "FAULTS.md").read_text().splitlines() if re.match(r"\| \d", line)]


def test_each_fault_has_a_test_or_cannot_happen():
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 46))
    known = set(re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in FOLDER.glob("test_*.py")), re.M))
    for row in ROWS:
        here = row.split("|")[3]
        named = re.findall(r"`(test_\w+)`", here)
        assert named or "Cannot happen" in here or "As above" in here, row
        assert set(named) <= known, row
