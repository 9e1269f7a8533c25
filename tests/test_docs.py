"""What README and docs name exists: settings, commands, make targets, files."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands

from train.engine.config import LOSS_NAMES, LoraConfig, LossConfig, TrainingConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SETTINGS = (ROOT / "config" / "settings.py").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_it_names_exists(page):
    text = page.read_text()
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)\b(?=[`.\n ]*$|`)", text, re.MULTILINE)) <= TARGETS
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())
    named = set(re.findall(r"`(WINNOW_[A-Z_]+|DATABASE_URL|CELERY_BROKER_URL)", text))
    assert [name for name in named if name not in SETTINGS] == []
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link


def test_the_operators_page_lists_every_setting():
    named = set(re.findall(r'"(WINNOW_[A-Z_]+)"', SETTINGS))
    page = (ROOT / "docs" / "operators.md").read_text()
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []


def test_the_trainers_page_lists_every_field():
    page = (ROOT / "docs" / "trainer.md").read_text()
    names = [field.name for field in fields(TrainingConfig) if field.name not in ("loss", "lora")]
    names += [f"loss.{field.name}" for field in fields(LossConfig)] + [
        f"lora.{field.name}" for field in fields(LoraConfig)
    ]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert [name for name in LOSS_NAMES if f"`{name}`" not in page] == []


def test_the_tree_names_every_folder():
    tree = set(re.findall(r"^    ([a-z]+)/", (ROOT / "README.md").read_text(), re.MULTILINE))
    ignored = {"var", "__pycache__"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isalpha()} - ignored
    assert tree == folders


def test_each_direct_dependency_has_its_line():
    page = (ROOT / "docs" / "architecture.md").read_text().lower()
    table = page.partition("## dependencies")[2]
    cells = [cell for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) if cell not in ("package", "---")]
    direct = [name.split()[0] for cell in cells for name in re.split(", (?:or )?", cell)]
    assert len(direct) > 20
    pinned = "\n".join(path.read_text() for path in [*ROOT.glob("requirements*.txt"), *ROOT.glob("requirements/*.txt")])
    for name in direct:
        assert name in page, name
        assert re.search(rf"^{re.escape(name)}==", pinned, re.MULTILINE | re.IGNORECASE), name


def test_every_requirement_is_pinned():
    for path in [*ROOT.glob("requirements*.txt"), *ROOT.glob("requirements/*.txt")]:
        for line in path.read_text().splitlines():
            assert (
                not line or line.startswith(("#", "-r ")) or re.match(r"^[A-Za-z0-9_.-]+==[^ ]+( --hash=.*)?$", line)
            ), line
