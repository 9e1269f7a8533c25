"""Lines of a data file become votes; a wrong line is told with its file and number."""

import json

import pytest

from train.engine.errors import DataError
from train.engine.groups import Pair, Votes, count_votes, labelled_pairs, read_groups


def write(tmp_path, *lines):
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def line(**changes):
    values = {"prompt": "p", "completions": ["a", "b", "c"], "rankings": [{"tiers": [[0], [1, 2]], "unordered": [1]}]}
    return {key: value for key, value in (values | changes).items() if value is not None}


def votes(tmp_path, *lines):
    return count_votes(read_groups(write(tmp_path, *lines))[0].rankings)


def test_best_of_k_says_nothing_of_the_losers(tmp_path):
    assert votes(tmp_path, line()) == [Votes(0, 1, 1, 0, 0), Votes(0, 2, 1, 0, 0)]


def test_a_tier_that_is_not_unordered_is_a_tie(tmp_path):
    found = votes(tmp_path, line(rankings=[{"tiers": [[2], [0, 1]]}]))
    assert found == [Votes(0, 1, 0, 0, 1), Votes(0, 2, 0, 1, 0), Votes(1, 2, 0, 1, 0)]


def test_rankings_add_up_with_their_weights(tmp_path):
    rankings = [{"tiers": [[0], [1], [2]]}, {"tiers": [[1], [0]], "weight": 2}, {"tiers": [[0, 1]], "weight": 0.5}]
    found = votes(tmp_path, line(rankings=rankings))
    assert found == [Votes(0, 1, 1, 2, 0.5), Votes(0, 2, 1, 0, 0), Votes(1, 2, 1, 0, 0)]


def test_pairs_have_weights(tmp_path):
    found = votes(tmp_path, line(rankings=None, pairs=[[2, 0, 3], [0, 2, 1], [1, 2]]))
    assert found == [Votes(0, 2, 1, 3, 0), Votes(1, 2, 1, 0, 0)]


def test_labels_are_shares_of_votes():
    counted = [Votes(0, 1, 3, 1, 2)]
    assert labelled_pairs(counted, count=False, half_ties=False) == [Pair(0, 1, 0.75, 1)]
    assert labelled_pairs(counted, count=True, half_ties=False) == [Pair(0, 1, 0.75, 4)]
    assert labelled_pairs(counted, count=True, half_ties=True) == [Pair(0, 1, 4 / 6, 6)]


def test_a_pair_with_ties_only_is_used_only_where_ties_are():
    assert labelled_pairs([Votes(0, 1, 0, 0, 2)], count=False, half_ties=False) == []
    assert labelled_pairs([Votes(0, 1, 0, 0, 2)], count=False, half_ties=True) == [Pair(0, 1, 0.5, 1)]


def test_plain_pairs_of_one_prompt_become_one_group(tmp_path):
    messages = [{"role": "user", "content": "hello"}]
    said = [{"role": "assistant", "content": "hi"}]
    path = write(
        tmp_path,
        {"prompt": messages, "chosen": said, "rejected": "no"},
        {"prompt": "other", "chosen": "x", "rejected": "y"},
        {"prompt": messages, "chosen": "hi", "rejected": "hm"},
    )
    first, second = read_groups(path)
    assert [completion.text for completion in first.completions] == ["hi", "no", "hm"]
    assert count_votes(first.rankings) == [Votes(0, 1, 1, 0, 0), Votes(0, 2, 1, 0, 0)]
    assert [completion.text for completion in second.completions] == ["x", "y"]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "must be a JSON object, got [1]."),
        ({"prompt": "p"}, "must have `prompt` and `completions`, or both `chosen` and `rejected`"),
        (line(prompt=[{"role": "user"}]), ": `prompt` must be a text or a list of messages with `role` and `content`"),
        (line(prompt=[{"role": "assistant", "content": "a"}]), ": `prompt` ends with an assistant turn."),
        (line(completions=["a"]), ": `completions` must be a list of at least 2 answers"),
        (line(completions=["a", 3, "c"]), ": `completions[1]` must be a text or an object, got 3."),
        (line(completions=["a", {}, "c"]), ": `completions[1]` has neither `text` nor `token_ids`."),
        (
            line(completions=[{"token_ids": [1, -2]}, "b", "c"]),
            ": `completions[0]`: `token_ids` must be a list of whole numbers from 0, got [1, -2].",
        ),
        (line(pairs=[[0, 1, 1]]), ": give either `rankings` or `pairs` beside `completions`."),
        (line(rankings=[{"tiers": [[0], [3]]}]), "`tiers` must be lists of indexes of completions, 0 to 2, each at"),
        (line(rankings=[{"tiers": [[0], [0, 1]]}]), "each at most once, got [[0], [0, 1]]."),
        (line(rankings=[{"tiers": [[0], [1]], "unordered": [2]}]), "`unordered` must list indexes of tiers, 0 to 1"),
        (line(rankings=[{"tiers": [[0], [1]], "weight": 0}]), "`rankings[0]`: the weight must be a number above 0"),
        (line(rankings=None, pairs=[[0, 0, 1]]), "`pairs[0]` must be [chosen, rejected, weight] with two different"),
        ({"prompt": "p", "chosen": "a", "rejected": "a"}, "`chosen` and `rejected` are the same text."),
        ({"prompt": "p", "chosen": "a", "rejected": 1}, "`rejected` must be a text or a list of one assistant message"),
    ],
)
def test_it_rejects_a_wrong_line(tmp_path, bad, sentence):
    path = write(tmp_path, line(), "", bad)
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert str(caught.value).startswith(f"{path}, line 3")
    assert sentence in str(caught.value)


def test_it_rejects_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.jsonl cannot be read: No such file"):
        read_groups(tmp_path / "none.jsonl")
