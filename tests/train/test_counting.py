"""What a comparison gives by a rule: each part of the rule on judgements written out."""

from datetime import UTC, date, datetime

import pytest

from train.counting import Lost, Said, Scope, count_all
from train.engine.groups import count_votes
from train.rules import Rule

BEST = ((0,), (1,))
WORST = ((1,), (0,))
TIE = ((0, 1),)
FOUR = ((2,), (0, 1), (3,))
MARCH = datetime(2026, 3, 10, 12, tzinfo=UTC)


def said(tiers=BEST, person=1, revision=None, comparison=1, **about) -> Said:
    revision = revision or person
    given = {
        "judgement": 100 * comparison + person,
        "prompt": 1,
        "side": "train",
        "slots": sum(map(len, tiers)) or 2,
        "kind": "ranked",
        "unordered": (),
        "strength": None,
        "edit": None,
        "settles": False,
        "submitted_at": MARCH,
    }
    return Said(revision=revision, comparison=comparison, person=person, tiers=tiers, **{**given, **about})


def count(*rows, left_out=None, written=None, after=0, as_of=1000, **rule):
    return list(count_all(rows, Scope(Rule(**rule), as_of, after, left_out or {}, written)))


def pairs(*rows, **rule):
    return sorted(pair[:2] for counted in count(*rows, **rule) for pair in counted.pairs)


def lost(*rows, **rule):
    (counted,) = count(*rows, **rule)
    assert bool(counted.lost) == (not counted.pairs)
    return counted.lost


def test_it_works():
    (counted,) = count(said())
    assert [tuple(pair) for pair in counted.pairs] == [(0, 1, 1.0)]
    assert (counted.rankings[0].tiers, counted.revisions) == (BEST, (1,))


def test_the_last_revision_that_is_known_counts():
    rows = said(revision=1), said(WORST, revision=5), said((), revision=9, kind="withdrawn")
    assert pairs(*rows, as_of=4) == [(0, 1)]
    assert pairs(*rows, as_of=5) == [(1, 0)]
    assert count(*rows) == []


def test_a_settlement_wins_or_is_left_aside():
    rows = said(), said(person=2), said(WORST, person=3, settles=True)
    assert pairs(*rows, overlap=3, people_left_out=(3,)) == [(1, 0)]
    assert pairs(*rows, settlements="aside") == [(0, 1)]


def test_since_the_last_round():
    rows = said(revision=5), said(WORST, revision=9, comparison=2), said(revision=10, comparison=3, side="held_out")
    assert [one.comparison for one in count(*rows, after=5, since="round")] == [2, 3]
    old = said(revision=3, comparison=3, side="held_out", prompt=2)
    assert [one.comparison for one in count(old, after=5, since="round")] == [3]  # measured with all there are


def test_between_two_days():
    days = {"since": "dates", "first_day": date(2026, 3, 10)}
    assert count(said(), **days, last_day=date(2026, 3, 10))
    assert not count(said(submitted_at=datetime(2026, 3, 11, tzinfo=UTC)), **days, last_day=date(2026, 3, 10))
    assert not count(said(submitted_at=datetime(2026, 3, 9, 23, tzinfo=UTC)), **days, last_day=date(2026, 3, 10))


def test_overlap_asks_for_opinions():
    assert lost(said(), overlap=2) == Lost.OVERLAP
    assert lost(said(), said((), person=2, kind="skipped"), overlap=2) == Lost.OVERLAP
    assert pairs(said(), said((), person=2, kind="both_bad"), overlap=2) == [(0, 1)]


def test_agreement_is_the_share_that_says_what_most_say():
    rows = said(), said(person=2), said(WORST, person=3)
    assert pairs(*rows, agreement=67) == [(0, 1)]
    assert lost(*rows, agreement=68) == Lost.AGREEMENT
    assert pairs(said(), agreement=100) == [(0, 1)]  # one opinion always counts
    assert lost(said(), said(TIE, person=2), agreement=51) == Lost.AGREEMENT


def test_strength_asks_for_a_clear_choice():
    assert pairs(said(strength=3), said(WORST, person=2, strength=1), strength=2) == [(0, 1)]
    assert lost(said(strength=None), strength=1) == Lost.STRENGTH
    assert pairs(said(strength=None)) == [(0, 1)]


def test_people_are_left_out_by_the_rule_and_by_exclusions():
    rows = said(), said(WORST, person=2)
    assert pairs(*rows, people_left_out=(1,)) == [(1, 0)]
    assert pairs(*rows, left_out={2: MARCH}) == [(0, 1)]
    assert lost(said(), left_out={1: MARCH}) == Lost.PEOPLE
    assert pairs(said(), left_out={1: datetime(2026, 3, 11, tzinfo=UTC)}) == [(0, 1)]


def test_only_answers_of_some_policies_are_paired():
    written = {1: frozenset({0, 2, 3})}
    assert pairs(said(FOUR), policies=(8,), written=written) == [(0, 3), (2, 0), (2, 3)]
    assert lost(said(FOUR), policies=(8,), written={1: frozenset({1})}) == Lost.POLICIES
    mine = said(BEST, edit=77)
    assert pairs(mine, policies=(8,), written={1: frozenset({1})}) == [(2, 1)]  # own answers are always in


@pytest.mark.parametrize(
    ("expansion", "expected"),
    [
        ("all", [(0, 3), (1, 3), (2, 0), (2, 1), (2, 3)]),
        ("adjacent", [(0, 3), (1, 3), (2, 0), (2, 1)]),
        ("best", [(2, 0), (2, 1), (2, 3)]),
    ],
)
def test_a_ranking_gives_the_pairs_wanted(expansion, expected):
    (counted,) = count(said(FOUR), expansion=expansion)
    assert sorted(pair[:2] for pair in counted.pairs) == expected
    assert set(counted.revisions) == {1}
    tied = [(vote.first, vote.second) for vote in count_votes(counted.rankings) if vote.ties]
    assert tied == ([] if expansion == "best" else [(0, 1)])


def test_the_ties_of_a_ranking_are_said_once():
    ranking = ((4, 5), (0, 1), (2, 3))
    (counted,) = count(said(ranking, unordered=(2,)), expansion="adjacent")
    assert {(vote.first, vote.second): vote.ties for vote in count_votes(counted.rankings) if vote.ties} == {
        (4, 5): 1,
        (0, 1): 1,
    }


def test_several_opinions():
    rows = said(), said(person=2), said(WORST, person=3)
    (votes,) = count(*rows)
    assert [tuple(pair) for pair in votes.pairs] == [(0, 1, 2 / 3)]
    assert len(votes.rankings) == 3
    (majority,) = count(*rows, opinions="majority")
    assert [ranking.tiers for ranking in majority.rankings] == [BEST]
    assert majority.revisions == (None,)
    assert lost(*rows, opinions="unanimous") == Lost.DIVIDED
    assert pairs(*rows[:2], opinions="unanimous") == [(0, 1)]
    assert pairs(said(), said(TIE, person=2), opinions="majority") == [(0, 1)]
    assert lost(said(), said(TIE, person=2), opinions="unanimous") == Lost.DIVIDED


def test_what_gives_no_pair_says_why():
    assert lost(said(TIE)) == Lost.TIES
    assert lost(said(), said(WORST, person=2)) == Lost.DIVIDED
    assert lost(said((), kind="both_bad")) == Lost.BAD
    assert lost(said((), kind="flagged")) == Lost.SKIPPED


def test_an_own_answer_stands_above_the_others():
    assert pairs(said((), kind="both_bad", edit=77)) == [(2, 0), (2, 1)]
    (counted,) = count(said(BEST, edit=77), said(WORST, person=2, edit=78))
    assert counted.edits == (77, 78)
    assert sorted(pair[:2] for pair in counted.pairs) == [(2, 0), (2, 1), (3, 0), (3, 1)]


def test_a_prompt_gives_at_most_so_many_pairs():
    rows = [said(FOUR, comparison=1), said(FOUR, comparison=1, person=2), said(FOUR, comparison=2)]
    whole = set(pairs_by_comparison(count(*rows)))
    counted = count(*rows, pairs_per_prompt=4)
    kept = pairs_by_comparison(counted)
    assert (len(whole), len(kept)) == (10, 4)
    assert set(kept) < whole
    assert sum(one.capped for one in counted) == 6
    assert [len(one.pairs) for one in counted] == [
        len([vote for vote in count_votes(one.rankings) if vote.first_wins != vote.second_wins]) for one in counted
    ]
    assert {ranking.weight for one in counted if one.comparison == 1 for ranking in one.rankings} <= {2.0}
    assert pairs_by_comparison(count(*rows, pairs_per_prompt=4)) == kept
    assert any(pairs_by_comparison(count(*rows, pairs_per_prompt=4, cap_seed=seed)) != kept for seed in (1, 2, 3))
    assert count(*rows, pairs_per_prompt=10) == count(*rows)  # what is not above the most stays as it is said


def pairs_by_comparison(counted):
    return [(one.comparison, *pair[:2]) for one in counted for pair in one.pairs]
