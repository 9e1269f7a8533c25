"""Read preference data: JSONL of groups, or of plain pairs, into groups of answers with people's rankings.

A line is one of

    {"prompt": P, "completions": [C, ...], "rankings": [{"tiers": [[0], [2, 1]], "unordered": [1], "weight": 1}]}
    {"prompt": P, "completions": [C, ...], "pairs": [[chosen, rejected, weight], ...]}
    {"prompt": P, "chosen": A, "rejected": A}, or without `prompt`: see `plain_pairs`

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
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

from train.engine.errors import DataError
from train.engine.plain_pairs import Prompt, checked_prompt, read_plain_pair, shown


@dataclass(frozen=True)
class Completion:
    """One answer: its text, or its sampled token ids with their tokenizer's fingerprint, or both."""

    text: str | None
    token_ids: list[int] | None = None
    tokenizer: str | None = None
    finish_reason: str | None = None  # "length" is a truncated answer


@dataclass(frozen=True)
class Ranking:
    """One judgement of a group's completions."""

    tiers: tuple[tuple[int, ...], ...]  # indexes of completions, best tier first; each index at most once
    unordered: frozenset[int] = frozenset()  # indexes of tiers whose members were not compared with each other
    weight: float = 1.0  # votes that it counts as, above 0


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
    """A prompt, its completions and the rankings of them, not yet tokenised."""

    where: str  # "FILE, line N", for messages
    prompt: Prompt
    completions: list[Completion] = field(default_factory=list)
    rankings: list[Ranking] = field(default_factory=list)
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


def count_votes(rankings: Iterable[Ranking]) -> list[Votes]:
    """Add up by pair what rankings say of every two completions."""
    counts: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for ranking in rankings:
        for better, worse in combinations(ranking.tiers, 2):
            for i, j in product(better, worse):
                counts[min(i, j), max(i, j)][int(i > j)] += ranking.weight
        for index, tier in enumerate(ranking.tiers):
            if index not in ranking.unordered:
                for i, j in combinations(sorted(tier), 2):
                    counts[i, j][2] += ranking.weight
    return [Votes(i, j, *counted) for (i, j), counted in sorted(counts.items())]


def read_groups(path: str | Path) -> list[RawGroup]:
    """Read a JSONL data file.

    Raises:
        DataError: the file cannot be read, or a line is wrong; the message names file and line.
    """
    groups: list[RawGroup] = []
    by_prompt: dict[str, RawGroup] = {}
    for where, line in json_lines(Path(path)):
        if "completions" in line:
            groups.append(read_group(line, where))
            continue
        pair = read_plain_pair(line, where)
        key = json.dumps(pair.prompt, sort_keys=True)
        if key not in by_prompt:
            by_prompt[key] = RawGroup(where, pair.prompt)
            groups.append(by_prompt[key])
        chosen, rejected = (place_of(text, by_prompt[key]) for text in (pair.chosen, pair.rejected))
        by_prompt[key].rankings.append(Ranking(((chosen,), (rejected,))))
    return groups


def place_of(text: str, group: RawGroup) -> int:
    """Return the index of an answer in its group, adding it where it is new."""
    texts = [completion.text for completion in group.completions]
    if text in texts:
        return texts.index(text)
    group.completions.append(Completion(text))
    return len(texts)


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
                except (ValueError, RecursionError) as exc:
                    raise DataError(f"{where} is not valid JSON: {exc}.") from exc
                if "\\ud" in text.lower():
                    check_characters(line, where)
                if not isinstance(line, dict):
                    raise DataError(f"{where} must be a JSON object, got {shown(line)}.")
                yield where, line
    except OSError as exc:
        raise DataError(f"The data file {path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise DataError(f"The data file {path} is not UTF-8 ({exc.reason}). Save it as UTF-8.") from exc


def check_characters(line: Any, where: str) -> None:
    """Raise DataError where a text holds half of a surrogate pair: no tokenizer reads it."""
    try:
        json.dumps(line, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise DataError(f"{where} holds half of a surrogate pair (\\ud800 to \\udfff). Remove it.") from exc


def read_group(line: dict[str, Any], where: str) -> RawGroup:
    """Read a line that carries completions with rankings or pairs."""
    prompt = checked_prompt(line.get("prompt"), where)
    entries = line["completions"]
    if not isinstance(entries, list) or len(entries) < 2:
        raise DataError(f"{where}: `completions` must be a list of at least 2 answers, got {shown(entries)}.")
    completions = [read_completion(entry, f"{where}: `completions[{i}]`") for i, entry in enumerate(entries)]
    if ("rankings" in line) == ("pairs" in line):
        raise DataError(f"{where}: give either `rankings` or `pairs` beside `completions`.")
    read, said = (read_pairs, line["pairs"]) if "pairs" in line else (read_rankings, line["rankings"])
    rankings = read(said, len(completions), where)
    prompt_ids = line.get("prompt_token_ids")
    if prompt_ids is not None:
        check_ids(prompt_ids, f"{where}: `prompt_token_ids`")
    tokenizer = line.get("tokenizer") or completions[0].tokenizer
    return RawGroup(where, prompt, completions, rankings, prompt_ids, tokenizer)


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


def read_rankings(rankings: Any, completions: int, where: str) -> list[Ranking]:
    """Return the rankings of a line; a ranking's weight is 1 where it is missing."""
    if not isinstance(rankings, list):
        raise DataError(f"{where}: `rankings` must be a list, got {shown(rankings)}.")
    found = []
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
        found.append(Ranking(tuple(map(tuple, tiers)), frozenset(unordered), weight))
    return found


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


def read_pairs(pairs: Any, completions: int, where: str) -> list[Ranking]:
    """Return a line's pairs as rankings of two; a pair's weight is 1 where it is missing."""
    if not isinstance(pairs, list):
        raise DataError(f"{where}: `pairs` must be a list, got {shown(pairs)}.")
    found = []
    for number, pair in enumerate(pairs):
        good = isinstance(pair, list) and len(pair) in (2, 3)
        if not good or not all(is_index(i, completions) for i in pair[:2]) or pair[0] == pair[1]:
            raise DataError(
                f"{where}: `pairs[{number}]` must be [chosen, rejected, weight] with two different indexes "
                f"of completions, 0 to {completions - 1}, got {shown(pair)}."
            )
        weight = checked_weight(pair[2] if len(pair) == 3 else 1, f"{where}: `pairs[{number}]`")
        found.append(Ranking(((pair[0],), (pair[1],)), weight=weight))
    return found


def is_index(value: Any, length: int) -> bool:
    """Whether this is an index into a list of that length."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < length


def check_ids(ids: Any, where: str) -> None:
    """Raise DataError unless this is a list of whole numbers from 0."""
    if not isinstance(ids, list) or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in ids):
        raise DataError(f"{where} must be a list of whole numbers from 0, got {shown(ids)}.")


def checked_weight(weight: Any, where: str) -> float:
    """Return a weight, or raise DataError unless it is a finite number above 0."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= sys.float_info.max:
        raise DataError(f"{where}: the weight must be a number above 0, got {shown(weight)}.")
    return float(weight)


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
