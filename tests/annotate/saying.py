"""Votes for the tests of figures: said through the product, or as arrays."""

import itertools

import numpy as np

from annotate.judging import Choice, record
from annotate.votes import Votes

MONDAY = 737_997  # a Monday, as date.toordinal counts
keys = itertools.count()


def say(person, comparison, choice: Choice, shown=None):
    shown = shown or list(range(comparison.slots))
    return record(person, comparison, choice, shown=shown, client_key=f"said-{next(keys)}")


def votes(*said: tuple[int, int, int], first_wins=None, length_ratio=None, prompt=None, week=None) -> Votes:
    """Return votes of (unit, person, value); a unit is a prompt of its own unless `prompt` says otherwise."""
    unit, person, value = np.array(said, np.int64).reshape(-1, 3).T
    return Votes(
        unit=unit,
        prompt=unit if prompt is None else np.array(prompt),
        person=person,
        week=np.full(len(unit), MONDAY) if week is None else np.array(week),
        value=value,
        first_wins=value if first_wins is None else np.array(first_wins),
        length_ratio=np.zeros(len(unit)) if length_ratio is None else np.array(length_ratio, float),
    )
