"""Ids of comparisons as annotators see them. Row ids grow with time, and would tell checks, which are made late."""

import re
from hashlib import blake2b

from django.conf import settings

HALF = 32  # bits
MASK = "[0-9a-f]{16}"
ROUNDS = 4  # of a Feistel network: from four on it is a strong pseudorandom permutation (Luby and Rackoff 1988)


def mask(pk: int) -> str:
    """Return the 16 hexadecimal digits that stand for a row's id: always the same, and none but SECRET_KEY's."""
    left, right = divmod(pk, 1 << HALF)
    for number in range(ROUNDS):
        left, right = right, left ^ _scrambled(right, number)
    return f"{left:08x}{right:08x}"


def unmask(text: str) -> int:
    """Return the id of which this is the mask; of a mask that was made up, a number that is most likely nobody's id.

    Raises:
        ValueError: no id has this mask.
    """
    if not re.fullmatch(MASK, text):
        raise ValueError(f"A mask has 16 hexadecimal digits (got {text!r}).")
    left, right = int(text[:8], 16), int(text[8:], 16)
    for number in reversed(range(ROUNDS)):
        left, right = right ^ _scrambled(left, number), left
    pk = (left << HALF) + right
    if pk >= 1 << 63:  # more than a database takes
        raise ValueError(f"{text} masks no id.")
    return pk


def _scrambled(half: int, number: int) -> int:
    key = blake2b(settings.SECRET_KEY.encode(), person=b"annotate.masks").digest()
    return int.from_bytes(blake2b(half.to_bytes(4), key=key, salt=bytes([number]), digest_size=4).digest())


class MaskConverter:
    """In addresses: `<masked:comparison>` gives views the row's id, and `{% url %}` takes it."""

    regex = MASK

    def to_python(self, value: str) -> int:
        return unmask(value)

    def to_url(self, value: int) -> str:
        return mask(value)
