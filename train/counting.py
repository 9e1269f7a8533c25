"""What counts of what people said of a comparison, by a dataset's rule. Plain functions of rows: no queries.

Freezing, counting and sampling pairs for the launch page all go through `count_prompt`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from django.db import models

from annotate.models import COUNTED, Revision
from projects.models import Prompt
from train.engine.groups import Ranking, Votes, count_votes
from train.rules import Expansion, Opinions, Rule, Settlements, Since

Kind = Revision.Kind
CACHED = 20_000  # rankings of two answers are few, and said again and again

LeftOut = Mapping[int, datetime]  # by person: their votes given from this moment on are left out


class Said(NamedTuple):
    """A revision with what has to be known of its comparison."""

    revision: int
    judgement: int
    comparison: int
    prompt: int
    side: str  # of Prompt.Side
    slots: int  # answers of the comparison
    person: int
    kind: str
    tiers: tuple[tuple[int, ...], ...]
    unordered: tuple[int, ...]
    strength: int | None
    edit: int | None  # the completion that the person wrote
    settles: bool
    submitted_at: datetime


class Lost(models.TextChoices):
    """Why a comparison that was judged gives no pair."""

    PEOPLE = "people", "judged by people left out"
    SKIPPED = "skipped", "skipped or flagged"
    OVERLAP = "overlap", "wait for another opinion"
    BAD = "bad", "all answers bad"
    STRENGTH = "strength", "not strong enough"
    POLICIES = "policies", "answers of other policies"
    AGREEMENT = "agreement", "too little agreement"
    TIES = "ties", "ties"
    DIVIDED = "divided", "people are divided"
    CAP = "cap", "over the most for a prompt"


class Decided(NamedTuple):
    """A pair of a comparison's answers that more people decided one way than the other."""

    chosen: int  # index into the group's completions
    rejected: int
    share: float  # of the votes for the one or the other that are for the chosen one


class Counted(NamedTuple):
    """What a comparison gives to a dataset: rankings for the trainer, and the pairs that they decide."""

    comparison: int
    prompt: int
    side: str
    said: tuple[Said, ...] = ()  # the rankings' own revisions
    edits: tuple[int, ...] = ()  # completions that people wrote, after those of the slots
    rankings: tuple[Ranking, ...] = ()
    revisions: tuple[int | None, ...] = ()  # of each ranking the one it is, none where it was put together of several
    pairs: tuple[Decided, ...] = ()
    lost: str = ""  # of Lost: why there are no pairs
    capped: int = 0  # pairs over the most for a prompt


@dataclass(frozen=True)
class Scope:
    """A rule with what it means at one moment."""

    rule: Rule
    as_of: int  # the newest revision that is known
    after: int  # with `since` ROUND: the newest revision that the last round's dataset knew
    left_out: LeftOut
    written: Mapping[int, frozenset[int]] | None = None  # by comparison, the slots of the rule's policies

    def counts(self, said: Said) -> bool:
        """Whether this was judged when the rule wants it to be."""
        if self.rule.since == Since.BEGINNING or said.side != Prompt.Side.TRAIN:
            return True
        if self.rule.since == Since.ROUND:
            return said.revision > self.after
        day: date = said.submitted_at.date()
        return bool(self.rule.first_day and self.rule.last_day and self.rule.first_day <= day <= self.rule.last_day)

    def leaves_out(self, said: Said) -> bool:
        since = self.left_out.get(said.person)
        return said.person in self.rule.people_left_out or (since is not None and said.submitted_at >= since)


def count_all(rows: Iterable[Said], scope: Scope) -> Iterator[Counted]:
    """Yield what each comparison gives that was judged in time; the rows come by prompt, comparison and age."""
    for _, of_prompt in groupby(rows, key=lambda said: said.prompt):
        yield from count_prompt(of_prompt, scope)


def count_prompt(rows: Iterable[Said], scope: Scope) -> list[Counted]:
    """Return what the comparisons of one prompt give; the rows come by comparison and age."""
    counted = []
    for _, of_comparison in groupby(rows, key=lambda said: said.comparison):
        one = count_comparison(of_comparison, scope)
        if one is not None:
            counted.append(one)
    most = scope.rule.pairs_per_prompt
    if most is None or sum(len(one.pairs) for one in counted) <= most:
        return counted
    return capped(counted, most, scope.rule.cap_seed)


def count_comparison(rows: Iterable[Said], scope: Scope) -> Counted | None:
    """Return what one comparison gives, or None where nobody judged it in time."""
    last = {said.judgement: said for said in rows if said.revision <= scope.as_of}
    standing = [said for said in last.values() if said.kind != Kind.WITHDRAWN]
    said, settled = which_say(standing, scope.rule)
    said = [one for one in said if scope.counts(one)]
    if not said:
        return None
    nothing = Counted(said[0].comparison, said[0].prompt, said[0].side)
    if not settled:
        said = [one for one in said if not scope.leaves_out(one)]
        if not said:
            return nothing._replace(lost=Lost.PEOPLE)
    judging = [one for one in said if one.kind in COUNTED]
    if not judging:
        return nothing._replace(lost=Lost.SKIPPED)
    if not settled and len(judging) < scope.rule.overlap:
        return nothing._replace(lost=Lost.OVERLAP)
    ranking = [one for one in judging if one.kind == Kind.RANKED or one.edit]
    if not ranking:
        return nothing._replace(lost=Lost.BAD)
    strong = [one for one in ranking if not scope.rule.strength or (one.strength or 0) >= scope.rule.strength]
    if not strong:
        return nothing._replace(lost=Lost.STRENGTH)
    return combine(nothing, sorted(strong), scope, settled=settled)


def which_say(standing: list[Said], rule: Rule) -> tuple[list[Said], bool]:
    """Return what counts of what stands, votes or a settlement, and whether it is a settlement."""
    settlements = [said for said in standing if said.settles]
    if settlements and rule.settlements == Settlements.WIN:
        return settlements, True
    return [said for said in standing if not said.settles], False


def combine(nothing: Counted, said: list[Said], scope: Scope, *, settled: bool) -> Counted:
    """Put the rankings of a comparison together as the rule says."""
    rule = scope.rule
    edits = tuple(one.edit for one in said if one.edit)
    slots = scope.written.get(nothing.comparison, frozenset()) if scope.written is not None else None
    comparing = []
    for one in said:
        ranking = ranking_of(one, edits)
        if slots is not None:
            ranking = only(ranking, slots | frozenset(range(one.slots, one.slots + len(edits))))
        if sum(map(len, ranking.tiers)) > 1:
            comparing.append((one, ranking))
    if not comparing:
        return nothing._replace(lost=Lost.POLICIES)
    rankings = tuple(ranking for _, ranking in comparing)
    if not settled and round(100 * agreement(rankings)) < rule.agreement:
        return nothing._replace(lost=Lost.AGREEMENT)
    revisions: list[int | None] = []
    expansions = [expanded(ranking, rule.expansion) for ranking in rankings]
    for (one, _), parts in zip(comparing, expansions, strict=True):
        revisions += [one.revision] * len(parts)
    rankings = tuple(ranking for parts in expansions for ranking in parts)
    if rule.opinions != Opinions.VOTES and len(comparing) > 1:
        rankings = agreed(rankings, rule.opinions)
        revisions = [None] * len(rankings)
    pairs = decided(rankings)
    return nothing._replace(
        said=tuple(one for one, _ in comparing),
        edits=edits,
        rankings=rankings,
        revisions=tuple(revisions),
        pairs=pairs,
        lost="" if pairs else no_pair(rankings),
    )


def no_pair(rankings: tuple[Ranking, ...]) -> str:
    """Return why rankings decide no pair. Where there are none, people did not agree on any."""
    only_ties = rankings and not any(choices(vote) for vote in votes_of(rankings))
    return Lost.TIES if only_ties else Lost.DIVIDED


def ranking_of(said: Said, edits: tuple[int, ...]) -> Ranking:
    """Return what a person said, their own answer above all others; own answers come after those of the slots."""
    if not said.edit:
        return plain_ranking(said.tiers, said.unordered)
    own = (said.slots + edits.index(said.edit),)
    if said.kind == Kind.RANKED:
        return plain_ranking((own, *said.tiers), tuple(index + 1 for index in said.unordered))
    return plain_ranking((own, tuple(range(said.slots))), (1,))  # all bad, and not compared with each other


@lru_cache(maxsize=CACHED)
def plain_ranking(tiers: tuple[tuple[int, ...], ...], unordered: tuple[int, ...]) -> Ranking:
    return Ranking(tiers, frozenset(unordered))


def only(ranking: Ranking, kept: frozenset[int]) -> Ranking:
    """Return what a ranking says of some of its completions."""
    tiers = [(tuple(index for index in tier if index in kept), number) for number, tier in enumerate(ranking.tiers)]
    tiers = [(tier, number) for tier, number in tiers if tier]
    unordered = frozenset(place for place, (_, number) in enumerate(tiers) if number in ranking.unordered)
    return Ranking(tuple(tier for tier, _ in tiers), unordered)


@lru_cache(maxsize=CACHED)
def expanded(ranking: Ranking, expansion: str) -> tuple[Ranking, ...]:
    """Return rankings that give just the pairs wanted of this one, each pair and each tie once."""
    tiers, unordered = ranking.tiers, ranking.unordered
    if expansion == Expansion.ALL or len(tiers) <= 2:
        return (ranking,)
    if expansion == Expansion.BEST:
        rest = tuple(index for tier in tiers[1:] for index in tier)
        return (Ranking((tiers[0], rest), unordered & {0} | {1}),)
    return tuple(
        # The ties of a tier are said by the ranking in which it comes second.
        Ranking(
            (tiers[i], tiers[i + 1]),
            frozenset(({0} if i or 0 in unordered else set()) | ({1} if i + 1 in unordered else set())),
        )
        for i in range(len(tiers) - 1)
    )


@lru_cache(maxsize=CACHED)
def votes_of(rankings: tuple[Ranking, ...]) -> tuple[Votes, ...]:
    return tuple(count_votes(rankings))


def choices(vote: Votes) -> float:
    """Return the votes for the one or the other; ties are none."""
    return vote.first_wins + vote.second_wins


@lru_cache(maxsize=CACHED)
def agreement(rankings: tuple[Ranking, ...]) -> float:
    """Return the share of the rankings that say what most say of a pair, a tie being an answer: the mean over pairs.

    0 to 1; of one ranking it is 1.
    """
    if len(rankings) == 1:
        return 1.0
    shares = [
        max(vote.first_wins, vote.second_wins, vote.ties) / (choices(vote) + vote.ties) for vote in votes_of(rankings)
    ]
    return sum(shares) / len(shares) if shares else 1.0


@lru_cache(maxsize=CACHED)
def agreed(rankings: tuple[Ranking, ...], opinions: str) -> tuple[Ranking, ...]:
    """Return a ranking of two for each pair on which people agree: more than half of those who chose, or all."""
    found = []
    for vote in votes_of(rankings):
        most, least = max(vote.first_wins, vote.second_wins), min(vote.first_wins, vote.second_wins)
        if most > least and (opinions == Opinions.MAJORITY or least + vote.ties == 0):
            found.append(_of_two(vote, first=vote.first_wins > vote.second_wins))
    return tuple(found)


def _of_two(vote: Votes, *, first: bool, weight: float = 1.0) -> Ranking:
    order = (vote.first, vote.second) if first else (vote.second, vote.first)
    return Ranking(((order[0],), (order[1],)), weight=weight)


@lru_cache(maxsize=CACHED)
def decided(rankings: tuple[Ranking, ...]) -> tuple[Decided, ...]:
    """Return each pair that more people decided one way than the other."""
    found = []
    for vote in votes_of(rankings):
        if vote.first_wins > vote.second_wins:
            found.append(Decided(vote.first, vote.second, vote.first_wins / choices(vote)))
        elif vote.second_wins > vote.first_wins:
            found.append(Decided(vote.second, vote.first, vote.second_wins / choices(vote)))
    return tuple(found)


def capped(counted: list[Counted], most: int, seed: int) -> list[Counted]:
    """Keep so many of the pairs of one prompt, with all their votes; the rankings become rankings of two.

    Each pair has a number by the SHA-256 of the seed, its comparison and its answers, and the least stay: what is
    judged later takes a pair's place, but does not shuffle the others.
    """
    drawn = sorted(
        (hashlib.sha256(f"{seed}:{one.comparison}:{min(pair[:2])}:{max(pair[:2])}".encode()).digest(), place, pair)
        for place, one in enumerate(counted)
        for pair in one.pairs
    )
    kept: dict[int, set[frozenset[int]]] = {}
    for _, place, pair in drawn[:most]:
        kept.setdefault(place, set()).add(frozenset(pair[:2]))
    return [_with_pairs(one, kept.get(place, set())) for place, one in enumerate(counted)]


def _with_pairs(one: Counted, kept: set[frozenset[int]]) -> Counted:
    """Keep some of a comparison's pairs, with their votes."""
    votes = [vote for vote in votes_of(one.rankings) if {vote.first, vote.second} in kept]
    rankings = []
    for vote in votes:
        if vote.first_wins:
            rankings.append(_of_two(vote, first=True, weight=vote.first_wins))
        if vote.second_wins:
            rankings.append(_of_two(vote, first=False, weight=vote.second_wins))
        if vote.ties:
            rankings.append(Ranking(((vote.first, vote.second),), weight=vote.ties))
    pairs = tuple(pair for pair in one.pairs if frozenset(pair[:2]) in kept)
    return one._replace(
        rankings=tuple(rankings),
        revisions=(None,) * len(rankings),
        pairs=pairs,
        lost=one.lost or ("" if pairs else Lost.CAP),
        capped=len(one.pairs) - len(pairs),
    )
