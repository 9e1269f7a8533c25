"""Read preference data: JSONL of groups, or of plain pairs, into groups of answers with labelled pairs.

A line is one of

    {"prompt": P, "completions": [C, ...], "rankings": [{"tiers": [[0], [2, 1]], "unordered": [1], "weight": 1}]}
    {"prompt": P, "completions": [C, ...], "pairs": [[chosen, rejected, weight], ...]}
    {"prompt": P, "chosen": A, "rejected": A}

P is a list of chat messages or a text; C is a text or {"text", "token_ids", "tokenizer", "finish_reason"};
A is a text or a list of one assistant message. In a ranking the tiers stand best first and hold indexes of
completions; the members of one tier are tied, or, where the tier's index is in `unordered`, were not compared
with each other. Best of K is {"tiers": [[winner], [the others]], "unordered": [1]}. A line of completions
may carry the sampled prompt as "prompt_token_ids", with its tokenizer's fingerprint as "tokenizer" (where it
is missing, the first completion's is meant). Plain pairs of one prompt become one group.

Other keys of a line are left alone, so that exports may carry more than training reads.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from train.engine.errors import DataError

Prompt = str | list[dict[str, str]]


@dataclass(frozen=True)
class Completion:
    """One answer: its text, or its sampled token ids with their tokenizer's fingerprint, or both."""

    text: str | None
    token_ids: list[int] | None = None
    tokenizer: str | None = None
    finish_reason: str | None = None  # "length" is a truncated answer


@dataclass(frozen=True)
class Votes:
    """What people said of the completions i and j, i < j, in votes (a ranking's weight is its votes)."""

    first: int  # i
    second: int  # j
    first_wins: float  # n_ij
    second_wins: float  # n_ji
    ties: float  # t_ij


@dataclass
class RawGroup:
    """A prompt, its completions and the votes on them, not yet tokenised."""

    where: str  # "FILE, line N", for messages
    prompt: Prompt
    completions: list[Completion] = field(default_factory=list)
    votes: list[Votes] = field(default_factory=list)
    prompt_token_ids: list[int] | None = None
    tokenizer: str | None = None  # fingerprint that belongs to `prompt_token_ids`


@dataclass(frozen=True)
class Pair:
    """A compared pair of a group: the probability that the first is better, and the pair's weight."""

    first: int  # index into the group's completions
    second: int
    label: float  # p_ij, 0 to 1
    weight: float  # 1, or the number of votes


def labelled_pairs(votes: list[Votes], *, count: bool, half_ties: bool) -> list[Pair]:
    """Turn votes into labels: p_ij = (n_ij + t_ij / 2) / (n_ij + n_ji + t_ij).

    Args:
        votes: one entry per pair.
        count: a pair weighs the number of its votes, otherwise 1.
        half_ties: a tie is half a vote for either side, otherwise it is no vote.

    Returns:
        The pairs that have a vote.
    """
    pairs = []
    for vote in votes:
        ties = vote.ties if half_ties else 0.0
        total = vote.first_wins + vote.second_wins + ties
        if total > 0:
            label = (vote.first_wins + ties / 2) / total
            pairs.append(Pair(vote.first, vote.second, label, total if count else 1.0))
    return pairs


def read_groups(path: str | Path) -> list[RawGroup]:
    """Read a JSONL data file.

    Raises:
        DataError: the file cannot be read, or a line is wrong; the message names file and line.
    """
    groups: list[RawGroup] = []
    by_prompt: dict[str, RawGroup] = {}
    pair_votes: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for where, line in json_lines(Path(path)):
        prompt = checked_prompt(line, where)
        if "completions" in line:
            groups.append(read_group(line, prompt, where))
            continue
        key = json.dumps(prompt, sort_keys=True)
        if key not in by_prompt:
            by_prompt[key] = RawGroup(where, prompt)
            groups.append(by_prompt[key])
        chosen = add_answer(by_prompt[key], line, "chosen", where)
        rejected = add_answer(by_prompt[key], line, "rejected", where)
        if chosen == rejected:
            raise DataError(f"{where}: `chosen` and `rejected` are the same text. Remove the line.")
        pair_votes[key].append((chosen, rejected, 1.0))
    for key, group in by_prompt.items():
        group.votes = count_votes(pair_votes[key], [])
    return groups


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("FILE, line N", the line's JSON object) of each line that is not empty."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                where = f"{path}, line {number}"
                if not text.strip():
                    continue
                try:
                    line = json.loads(text)
                except ValueError as exc:
                    raise DataError(f"{where} is not valid JSON: {exc}.") from exc
                if not isinstance(line, dict):
                    raise DataError(f"{where} must be a JSON object, got {shown(line)}.")
                yield where, line
    except OSError as exc:
        raise DataError(f"The data file {path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise DataError(f"The data file {path} is not UTF-8 ({exc.reason}). Save it as UTF-8.") from exc


def read_group(line: dict[str, Any], prompt: Prompt, where: str) -> RawGroup:
    """Read a line that carries completions with rankings or pairs."""
    entries = line["completions"]
    if not isinstance(entries, list) or len(entries) < 2:
        raise DataError(f"{where}: `completions` must be a list of at least 2 answers, got {shown(entries)}.")
    completions = [read_completion(entry, f"{where}: `completions[{i}]`") for i, entry in enumerate(entries)]
    if ("rankings" in line) == ("pairs" in line):
        raise DataError(f"{where}: give either `rankings` or `pairs` beside `completions`.")
    ties: list[tuple[int, int, float]] = []
    if "pairs" in line:
        wins = read_pairs(line["pairs"], len(completions), where)
    else:
        wins, ties = read_rankings(line["rankings"], len(completions), where)
    prompt_ids = line.get("prompt_token_ids")
    if prompt_ids is not None:
        check_ids(prompt_ids, f"{where}: `prompt_token_ids`")
    tokenizer = line.get("tokenizer") or completions[0].tokenizer
    return RawGroup(where, prompt, completions, count_votes(wins, ties), prompt_ids, tokenizer)


def checked_prompt(line: dict[str, Any], where: str) -> Prompt:
    """Return the line's prompt: a text, or chat messages that do not end with the assistant."""
    if "prompt" not in line or not ("completions" in line or ("chosen" in line and "rejected" in line)):
        raise DataError(
            f"{where} must have `prompt` and either `completions` or both `chosen` and `rejected`, "
            f"got the keys {', '.join(sorted(map(str, line))) or 'none'}."
        )
    prompt = line["prompt"]
    if isinstance(prompt, str) and prompt:
        return prompt
    if not isinstance(prompt, list) or not prompt or not all(is_message(entry) for entry in prompt):
        raise DataError(
            f"{where}: `prompt` must be a text or a list of messages with `role` and `content`, got {shown(prompt)}."
        )
    if prompt[-1]["role"] == "assistant":
        raise DataError(f"{where}: `prompt` ends with an assistant turn. The answers belong in the completions.")
    return [{"role": entry["role"], "content": entry["content"]} for entry in prompt]


def read_completion(entry: Any, where: str) -> Completion:
    """Read one answer of a group."""
    if isinstance(entry, str):
        return Completion(entry)
    if not isinstance(entry, dict):
        raise DataError(f"{where} must be a text or an object, got {shown(entry)}.")
    text, ids = entry.get("text"), entry.get("token_ids")
    if text is None and ids is None:
        raise DataError(f"{where} has neither `text` nor `token_ids`.")
    if text is not None and not isinstance(text, str):
        raise DataError(f"{where}: `text` must be a text, got {shown(text)}.")
    if ids is not None:
        check_ids(ids, f"{where}: `token_ids`")
    return Completion(text, ids, entry.get("tokenizer"), entry.get("finish_reason"))


def read_rankings(
    rankings: Any, completions: int, where: str
) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]:
    """Return the wins (better, worse, votes) and the ties (i, j, votes) that a line's rankings say."""
    if not isinstance(rankings, list):
        raise DataError(f"{where}: `rankings` must be a list, got {shown(rankings)}.")
    wins, ties = [], []
    for number, ranking in enumerate(rankings):
        place = f"{where}: `rankings[{number}]`"
        if not isinstance(ranking, dict):
            raise DataError(f"{place} must be an object with `tiers`, got {shown(ranking)}.")
        tiers = checked_tiers(ranking.get("tiers"), completions, place)
        unordered = ranking.get("unordered", [])
        if not isinstance(unordered, list) or not all(is_index(i, len(tiers)) for i in unordered):
            raise DataError(
                f"{place}: `unordered` must list indexes of tiers, 0 to {len(tiers) - 1}, got {shown(unordered)}."
            )
        weight = checked_weight(ranking.get("weight", 1), place)
        for better, worse in combinations(tiers, 2):
            wins += [(i, j, weight) for i in better for j in worse]
        for index, tier in enumerate(tiers):
            if index not in unordered:
                ties += [(i, j, weight) for i, j in combinations(tier, 2)]
    return wins, ties


def checked_tiers(tiers: Any, completions: int, where: str) -> list[list[int]]:
    """Return the tiers, or raise DataError unless they hold completions' indexes, each at most once."""
    good = isinstance(tiers, list) and tiers and all(isinstance(tier, list) and tier for tier in tiers)
    flat = [index for tier in tiers for index in tier] if good else []
    if not good or not all(is_index(i, completions) for i in flat) or len(set(flat)) != len(flat):
        raise DataError(
            f"{where}: `tiers` must be lists of indexes of completions, 0 to {completions - 1}, "
            f"each at most once, got {shown(tiers)}."
        )
    result: list[list[int]] = tiers
    return result


def read_pairs(pairs: Any, completions: int, where: str) -> list[tuple[int, int, float]]:
    """Return the wins (better, worse, votes) of a line's pairs; a pair's weight is 1 where it is missing."""
    if not isinstance(pairs, list):
        raise DataError(f"{where}: `pairs` must be a list, got {shown(pairs)}.")
    wins = []
    for number, pair in enumerate(pairs):
        good = isinstance(pair, list) and len(pair) in (2, 3)
        if not good or not all(is_index(i, completions) for i in pair[:2]) or pair[0] == pair[1]:
            raise DataError(
                f"{where}: `pairs[{number}]` must be [chosen, rejected, weight] with two different indexes "
                f"of completions, 0 to {completions - 1}, got {shown(pair)}."
            )
        weight = pair[2] if len(pair) == 3 else 1
        wins.append((pair[0], pair[1], checked_weight(weight, f"{where}: `pairs[{number}]`")))
    return wins


def count_votes(wins: list[tuple[int, int, float]], ties: list[tuple[int, int, float]]) -> list[Votes]:
    """Add up wins (better, worse, votes) and ties (i, j, votes) by pair."""
    counts: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for better, worse, votes in wins:
        counts[min(better, worse), max(better, worse)][int(better > worse)] += votes
    for i, j, votes in ties:
        counts[min(i, j), max(i, j)][2] += votes
    return [Votes(i, j, *counted) for (i, j), counted in sorted(counts.items())]


def add_answer(group: RawGroup, line: dict[str, Any], side: str, where: str) -> int:
    """Return the index of a plain pair's answer in its group, adding the answer where it is new."""
    answer = line[side]
    if isinstance(answer, list) and len(answer) == 1 and is_message(answer[0]):
        answer = answer[0]["content"] if answer[0]["role"] == "assistant" else None
    if not isinstance(answer, str):
        raise DataError(
            f"{where}: `{side}` must be a text or a list of one assistant message, got {shown(line[side])}."
        )
    texts = [completion.text for completion in group.completions]
    if answer not in texts:
        group.completions.append(Completion(answer))
        return len(texts)
    return texts.index(answer)


def is_message(entry: Any) -> bool:
    """Whether this is a chat message with a role and a text."""
    return isinstance(entry, dict) and isinstance(entry.get("role"), str) and isinstance(entry.get("content"), str)


def is_index(value: Any, length: int) -> bool:
    """Whether this is an index into a list of that length."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < length


def check_ids(ids: Any, where: str) -> None:
    """Raise DataError unless this is a list of whole numbers from 0."""
    if not isinstance(ids, list) or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in ids):
        raise DataError(f"{where} must be a list of whole numbers from 0, got {shown(ids)}.")


def checked_weight(weight: Any, where: str) -> float:
    """Return a weight, or raise DataError unless it is a finite number above 0."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise DataError(f"{where}: the weight must be a number above 0, got {shown(weight)}.")
    return float(weight)


def shown(value: Any) -> str:
    """Return a value as JSON, shortened for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
