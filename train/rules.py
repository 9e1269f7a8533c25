"""The rule of a dataset: which judgements it takes, and how they become preference pairs."""

from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from django.db import models

from annotate.models import Revision

LARGEST_OVERLAP = 1000
LARGEST_CAP = 1_000_000
LARGEST_SEED = 2**31 - 1


class RuleError(ValueError):
    """A rule that cannot be read. The text says what is wrong, what came and what is allowed."""


class Since(models.TextChoices):
    """From when on judgements of training prompts count. Held-out prompts are measured with all there are."""

    BEGINNING = "beginning", "since the project began"
    ROUND = "round", "since the last round’s dataset"
    DATES = "dates", "between two days"


class Expansion(models.TextChoices):
    """Which pairs a ranking gives."""

    ALL = "all", "all pairs"
    ADJACENT = "adjacent", "neighbours only"
    BEST = "best", "best against the rest"


class Opinions(models.TextChoices):
    """What becomes of several people's opinions of one pair."""

    VOTES = "votes", "all votes are kept"
    MAJORITY = "majority", "the majority decides"
    UNANIMOUS = "unanimous", "only if all agree"


class Settlements(models.TextChoices):
    """What becomes of the votes on a comparison that an admin has settled."""

    WIN = "win", "win over the votes"
    ASIDE = "aside", "are left aside"


@dataclass(frozen=True)
class Rule:
    """What a dataset takes of all that was judged when it was asked for. Stored with it, as JSON.

    What weighs the votes in training (`votes`, `ties`) is no part of it: the file holds all votes that count, and the
    round's configuration says how they are read.
    """

    since: str = Since.BEGINNING
    first_day: date | None = None  # with `since` DATES: judged on this day or later, in UTC
    last_day: date | None = None  # … and on this day or before
    overlap: int = 1  # people, at least, who judged a comparison
    agreement: int = 0  # per cent, at least, of the rankings of a comparison that agree, a mean over its pairs
    strength: int = 0  # of Revision.Strength, at least; above 0, a ranking without one does not count
    people_left_out: tuple[int, ...] = ()  # ids of people whose votes do not count here
    policies: tuple[int, ...] = ()  # ids of those whose answers are paired, with people's own; empty: all
    expansion: str = Expansion.ALL
    opinions: str = Opinions.VOTES
    pairs_per_prompt: int | None = None  # at most; which ones is drawn by `cap_seed`
    cap_seed: int = 0
    settlements: str = Settlements.WIN

    def __post_init__(self) -> None:
        """Refuse what is out of its range.

        Raises:
            RuleError: the text names the field.
        """
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise RuleError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}.")
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is None and name == "pairs_per_prompt":
                continue
            if not _is_whole(value) or not least <= value <= most:
                raise RuleError(f"`{name}` must be a whole number from {least} to {most}, got {value!r}.")
        for name in LISTS:
            ids = getattr(self, name)
            if not isinstance(ids, tuple) or not all(_is_whole(pk) and pk > 0 for pk in ids):
                raise RuleError(f"`{name}` must be a list of ids, whole numbers from 1, got {ids!r}.")
        self._check_days()

    def _check_days(self) -> None:
        days = (self.first_day, self.last_day)
        if not all(day is None or type(day) is date for day in days):
            raise RuleError(f"`first_day` and `last_day` must be days such as 2026-03-31, got {days!r}.")
        if self.since == Since.DATES:
            if self.first_day is None or self.last_day is None:
                raise RuleError("`first_day` and `last_day` must both be given where `since` is dates.")
            if self.first_day > self.last_day:
                raise RuleError(f"`first_day` must not be after `last_day`, got {self.first_day} and {self.last_day}.")
        elif any(days):
            raise RuleError("`first_day` and `last_day` must be left out unless `since` is dates.")

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it is stored: every field, in order."""
        values = asdict(self)
        days = {name: day.isoformat() for name in DAYS if (day := values[name])}
        return values | days | {name: list(values[name]) for name in LISTS}

    def __str__(self) -> str:
        """Say the rule in a sentence: only what differs from taking all that there is."""
        parts = [*self._judgements_in_words(), *self._pairs_in_words()]
        text = ", ".join(parts) or "all that was judged"
        return f"{text[0].upper()}{text[1:]}."

    def _judgements_in_words(self) -> list[str]:
        parts = []
        if self.since == Since.ROUND:
            parts.append("judged since the round before")
        if self.since == Since.DATES:
            parts.append(f"judged from {self.first_day} to {self.last_day}")
        if self.overlap > 1:
            parts.append(f"by {self.overlap} people or more")
        if self.agreement:
            parts.append(f"of whom {self.agreement}% agree")
        if self.strength > 1:
            parts.append(f"{Revision.Strength(self.strength).label} at least")
        if self.people_left_out:
            parts.append(f"without {_counted(len(self.people_left_out), 'person', 'people')}")
        if self.policies:
            parts.append(f"answers of {_counted(len(self.policies), 'policy', 'policies')}")
        return parts

    def _pairs_in_words(self) -> list[str]:
        parts = []
        for name, choices in (("expansion", Expansion), ("opinions", Opinions)):
            value = getattr(self, name)
            if value != choices.values[0]:
                parts.append(str(choices(value).label))
        if self.pairs_per_prompt:
            parts.append(f"at most {_counted(self.pairs_per_prompt, 'pair', 'pairs')} a prompt")
        if self.settlements == Settlements.ASIDE:
            parts.append("settlements aside")
        return parts


CHOICES = {
    "since": Since.values,
    "expansion": Expansion.values,
    "opinions": Opinions.values,
    "settlements": Settlements.values,
}
RANGES = {
    "overlap": (1, LARGEST_OVERLAP),
    "agreement": (0, 100),
    "strength": (0, max(Revision.Strength.values)),
    "pairs_per_prompt": (1, LARGEST_CAP),
    "cap_seed": (0, LARGEST_SEED),
}
LISTS = ("people_left_out", "policies")
DAYS = ("first_day", "last_day")


def read_rule(stored: Any) -> Rule:
    """Read a rule as it is stored; a field that is missing has its usual value.

    Raises:
        RuleError: a field is unknown or out of its range. The text names it.
    """
    if not isinstance(stored, dict):
        raise RuleError(f"A rule must be a JSON object, got {stored!r}.")
    known = [field.name for field in fields(Rule)]
    if unknown := [name for name in stored if name not in known]:
        raise RuleError(f"A rule has no `{unknown[0]}`. It has {', '.join(known)}.")
    values: dict[str, Any] = {name: _day(name, value) if name in DAYS else value for name, value in stored.items()}
    return Rule(**values | {name: tuple(values[name]) for name in LISTS if isinstance(values.get(name), list)})


def _day(name: str, value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise RuleError(f"`{name}` must be a day such as 2026-03-31, got {value!r}.") from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _counted(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"
