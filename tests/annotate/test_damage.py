"""An answer and its damaged copy."""

import re

import pytest

from annotate.damage import damaged

TEXT = """Water boils at 100 degrees at sea level. High up in the mountains it boils earlier: the air is thinner.
At 3000 metres it is about 90 degrees. That is why noodles take longer there to cook through.

A pressure cooker does the opposite: under pressure, water boils at 120 degrees and food is done sooner."""
KINDS = ("cut", "shuffled", "numbers", "repeated")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_damage_and_it_is_one(kind):
    for seed in range(50):
        found = damaged(TEXT, kind, seed)
        assert found == damaged(TEXT, kind, seed)
        assert found and found.split() != TEXT.split()


def test_it_breaks_off_in_the_middle_of_a_sentence():
    for seed in range(50):
        found = damaged(TEXT, "cut", seed)
        assert TEXT.startswith(found)
        assert not found.endswith((".", ",", ":"))
        assert TEXT[len(found)] in " \n,:"  # at the end of a word
        assert len(found) > len(TEXT) / 4


def test_all_sentences_are_there_in_another_order():
    for seed in range(50):
        found = damaged(TEXT, "shuffled", seed)
        assert sorted(found.split()) == sorted(TEXT.split())
        assert not found.startswith("Water boils at 100")
        assert found.count("\n\n") == 1


def test_each_number_is_another_one_and_the_rest_is_the_same():
    for seed in range(50):
        found = damaged(TEXT, "numbers", seed)
        pairs = zip(re.findall(r"\d+", found), ["100", "3000", "90", "120"], strict=True)
        assert all(new != old and len(new) == len(old) for new, old in pairs)
        assert re.sub(r"\d+", "", found) == re.sub(r"\d+", "", TEXT)


def test_the_items_of_a_list_and_names_keep_their_numbers():
    text = "1. Take two eggs.\n2. Boil them for 7 minutes, as GPT4 says."
    found = damaged(text, "numbers", 3)
    assert found != text
    assert re.sub(r"for \d", "for 7", found) == text


def test_a_paragraph_stands_there_twice():
    for seed in range(20):
        found = damaged(TEXT, "repeated", seed).split("\n\n")
        assert len(found) == 3
        assert len(set(found)) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "Yes.", "```python\nprint(1)\n```\n" + TEXT])
def test_what_cannot_be_damaged_is_let_be(kind, text):
    assert damaged(text, kind, 1) is None
