"""Plain pairs in the forms that people have them."""

import pytest

from train.engine.errors import DataError
from train.engine.plain_pairs import PlainPair, read_plain_pair

HH = "\n\nHuman: Why is the sea salty?\n\nAssistant: Rivers.\n\nHuman: And lakes?\n\nAssistant:"
ASKED = {"role": "user", "content": "Why?"}


def said(text):
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ({"prompt": "Why? ", "chosen": "So.", "rejected": "No."}, PlainPair("Why? ", "So.", "No.")),
        (
            {"prompt": [ASKED], "chosen": [said("So.")], "rejected": [said("No.")]},
            PlainPair([ASKED], "So.", "No."),
        ),
        # Both answers begin alike: that is no part of the prompt.
        (
            {"chosen": f"{HH} They lose it.", "rejected": f"{HH} They do not."},
            PlainPair(HH, " They lose it.", " They do not."),
        ),
        ({"chosen": "Say it: yes", "rejected": "Say it: yesterday"}, PlainPair("Say it: ", "yes", "yesterday")),
        (
            {"chosen": [ASKED, said("So."), ASKED, said("a")], "rejected": [ASKED, said("So."), ASKED, said("b")]},
            PlainPair([ASKED, said("So."), ASKED], "a", "b"),
        ),
    ],
)
def test_it_works(line, pair):
    assert read_plain_pair(line, "f, line 1") == pair


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            {"chosen": "a"},
            "must have `prompt` and `completions`, or both `chosen` and `rejected`, got the keys chosen.",
        ),
        ({"chosen": "abc", "rejected": "xyz"}, "has no `prompt`, and `chosen` and `rejected` do not begin alike"),
        ({"chosen": "same", "rejected": "same"}, "has no `prompt`"),
        ({"chosen": f"{HH} x", "rejected": f"{HH} x"}, "`chosen` and `rejected` are the same text. Remove the line."),
        ({"chosen": "a b", "rejected": [ASKED]}, "must be two texts or two lists of messages"),
        (
            {"chosen": [said("a")], "rejected": [said("b")]},
            "they have 1 and 1 messages and share 0. Give the `prompt`.",
        ),
        (
            {"chosen": [ASKED, said("a"), ASKED, said("c")], "rejected": [ASKED, said("b")]},
            "they have 4 and 2 messages and share 1.",
        ),
        (
            {"chosen": [ASKED, ASKED], "rejected": [ASKED, said("b")]},
            "`chosen` must be a text or a list of one assistant",
        ),
    ],
)
def test_it_rejects_a_wrong_line(line, sentence):
    with pytest.raises(DataError) as caught:
        read_plain_pair(line, "f, line 1")
    assert str(caught.value).startswith("f, line 1")
    assert sentence in str(caught.value)
