"""What a choice becomes: revisions, pairs and counts."""

import random
import uuid
from datetime import timedelta

import pytest
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django.utils import timezone

from annotate.judging import (
    Choice,
    ChoiceError,
    Kind,
    best_of,
    in_words,
    last_said,
    pairs_of,
    read_ranking,
    record,
    replaces_a_judgement,
    take_back,
    tally,
    tie,
)
from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision, Seat
from annotate.queue import next_lease


def key() -> str:
    return str(uuid.uuid4())


def judge(person, comparison, choice, client_key=""):
    shown = list(range(comparison.slots))
    return record(person, comparison, choice, shown=shown, client_key=client_key or key())


def decided(revision) -> list[tuple[str, str]]:
    rows = revision.pairs.order_by("pk").values_list("chosen__text", "rejected__text")
    return [(chosen.split(" to ")[0], rejected.split(" to ")[0]) for chosen, rejected in rows]


def judged(comparison) -> int:
    return Comparison.objects.get(pk=comparison.pk).judged


# ---- choices, by arithmetic


def test_best_of_prefers_the_winner_and_says_nothing_of_the_others():
    assert best_of(2, 4) == Choice(Kind.RANKED, ((2,), (0, 1, 3)), unordered=(1,))
    assert pairs_of(best_of(2, 4)) == [(2, 0), (2, 1), (2, 3)]


def test_the_better_of_two_leaves_nothing_unordered():
    assert best_of(1, 2) == Choice(Kind.RANKED, ((1,), (0,)))


def test_a_tie_decides_no_pair():
    assert pairs_of(tie(3)) == []


def test_a_ranking_is_read_in_the_numbers_shown():
    # Shown as 1, 2, 3, 4 are the slots 2, 0, 3, 1; so 3 > 1 = 4 > 2 is slot 3, then 1 and 2, then 0.
    choice = read_ranking("3 > 1 = 4 > 2", [2, 0, 3, 1])
    assert choice == Choice(Kind.RANKED, ((3,), (1, 2), (0,)))
    assert pairs_of(choice) == [(3, 1), (3, 2), (3, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("line", ["3>1=4>2", " 3 1 = 4 2 ", "31=42", "3 > 4 = 1 > 2"])
def test_a_ranking_may_be_written_in_several_ways(line):
    assert read_ranking(line, [2, 0, 3, 1]).tiers == ((3,), (1, 2), (0,))


@pytest.mark.parametrize("line", ["", "1", "1>1", "1>2>3", "0>1", "12>", "-1>2"])
def test_it_rejects_a_line_that_does_not_place_each_answer_once(line):
    with pytest.raises(ChoiceError):
        read_ranking(line, [0, 1])


def test_it_says_what_a_ranking_looks_like():
    with pytest.raises(ChoiceError, match="“first” is not a ranking. Write it like 3 > 1 = 2, best first."):
        read_ranking("first", [0, 1])
    with pytest.raises(ChoiceError, match="“1 > 1” must place each of the answers 1 to 2 once."):
        read_ranking("1 > 1", [0, 1])


# ---- recording


def test_it_works(bob, project, comparisons):
    (comparison,) = comparisons()
    lease = next_lease(bob, project)
    seen = {"shown": lease.shown, "opened_at": lease.opened_at, "guidelines": project.guidelines().pk}
    revision = record(bob, comparison, best_of(1, 2), client_key=key(), seconds=7.5, **seen)
    assert revision.seconds == 7.5
    assert (revision.number, revision.kind, revision.tiers, revision.shown) == (1, "ranked", [[1], [0]], lease.shown)
    assert revision.guidelines.version == 1
    assert not revision.late
    assert revision.opened_at == lease.opened_at
    assert len(decided(revision)) == 1
    assert judged(comparison) == 1
    assert not Lease.objects.exists()


def test_best_of_four_gives_three_pairs(bob, comparisons):
    (comparison,) = comparisons(answers=4)
    texts = dict(comparison.answers.values_list("number", "completion__text"))
    revision = judge(bob, comparison, best_of(2, 4))
    assert {chosen for chosen, _ in decided(revision)} == {texts[2].split(" to ")[0]}
    assert len(decided(revision)) == 3


def test_a_ranking_with_ties_gives_a_pair_for_each_step(bob, comparisons):
    (comparison,) = comparisons(answers=4)
    texts = {n: text.split(" to ")[0] for n, text in comparison.answers.values_list("number", "completion__text")}
    revision = judge(bob, comparison, read_ranking("1 > 2 = 3 > 4", [0, 1, 2, 3]))
    expected = [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]
    assert decided(revision) == [(texts[better], texts[worse]) for better, worse in expected]


@pytest.mark.parametrize(
    ("choice", "counts"),
    [(tie(2), 1), (Choice(Kind.BOTH_BAD), 1), (Choice(Kind.SKIPPED), 0), (Choice(Kind.FLAGGED), 0)],
)
def test_what_prefers_nothing_gives_no_pair(bob, comparisons, choice, counts):
    (comparison,) = comparisons()
    assert decided(judge(bob, comparison, choice)) == []
    assert judged(comparison) == counts


def test_answers_that_read_the_same_are_one(bob, project, add_prompts, sampled):
    (prompt,) = add_prompts("Which?")
    (comparison,) = sampled({prompt: ["One", "Two", "One "]})
    assert comparison.slots == 2
    numbers = dict(comparison.answers.values_list("completion__index", "number"))
    assert numbers[0] == numbers[2] != numbers[1]
    revision = judge(bob, comparison, best_of(numbers[0], 2))
    pair = PreferencePair.objects.get(revision=revision)
    assert (pair.chosen.index, pair.rejected.index) == (0, 1)


def test_the_same_submit_twice_counts_once(bob, comparisons):
    (comparison,) = comparisons()
    first = judge(bob, comparison, best_of(0, 2), client_key="once")
    again = judge(bob, comparison, best_of(1, 2), client_key="once")
    assert again == first
    assert again.tiers == [[0], [1]]
    assert (Revision.objects.count(), PreferencePair.objects.count(), judged(comparison)) == (1, 1, 1)


def test_two_people_may_use_the_same_key(bob, dora, comparisons):
    (comparison,) = comparisons()
    assert judge(bob, comparison, tie(2), client_key="k") != judge(dora, comparison, tie(2), client_key="k")


def test_a_choice_in_a_second_tab_replaces_the_first_and_is_not_late(bob, comparisons):
    (comparison,) = comparisons()
    first = record(bob, comparison, best_of(0, 2), shown=[0, 1], client_key="one")
    second = record(bob, comparison, best_of(1, 2), shown=[0, 1], client_key="two")
    assert (first.late, second.late) == (True, False)
    assert not replaces_a_judgement(first)
    assert replaces_a_judgement(second)


def test_a_submit_without_a_lease_is_kept_as_late(bob, comparisons):
    (comparison,) = comparisons()
    revision = judge(bob, comparison, best_of(0, 2))
    assert revision.late
    assert (judged(comparison), revision.pairs.count()) == (1, 1)


def test_another_choice_is_another_revision_and_its_pairs_count_instead(bob, comparisons):
    (comparison,) = comparisons()
    first = judge(bob, comparison, best_of(0, 2))
    second = judge(bob, comparison, best_of(1, 2))
    assert (first.judgement, first.number, second.number) == (second.judgement, 1, 2)
    assert Judgement.objects.get().current == second
    assert PreferencePair.objects.count() == 2
    assert list(PreferencePair.objects.current()) == list(second.pairs.all())
    assert judged(comparison) == 1


def test_a_chain_keeps_all_that_was_ever_said(bob, project, comparisons):
    (comparison,) = comparisons()
    for choice in (best_of(0, 2), tie(2), Choice(Kind.SKIPPED)):
        judge(bob, comparison, choice)
    assert take_back(bob, project, key())
    judge(bob, comparison, best_of(1, 2))
    chain = Revision.objects.order_by("number").values_list("number", "kind", "tiers")
    assert list(chain) == [
        (1, "ranked", [[0], [1]]),
        (2, "ranked", [[0, 1]]),
        (3, "skipped", []),
        (4, "withdrawn", []),
        (5, "ranked", [[1], [0]]),
    ]
    with pytest.raises(ProtectedError):
        Judgement.objects.get().delete()


# ---- taking back


def test_what_is_taken_back_lies_before_the_person_as_it_was_shown(bob, project, comparisons):
    comparisons(3)
    lease = next_lease(bob, project)
    record(bob, lease.comparison, best_of(0, 2), shown=lease.shown, client_key=key())
    other = next_lease(bob, project)
    assert other.comparison != lease.comparison
    back = take_back(bob, project, key())
    assert (back.comparison, back.shown) == (lease.comparison, lease.shown)
    assert next_lease(bob, project) == back
    assert judged(lease.comparison) == 0
    assert not PreferencePair.objects.current().exists()
    revision = record(bob, lease.comparison, tie(2), shown=back.shown, client_key=key())
    assert not revision.late
    assert next_lease(bob, project).comparison == other.comparison


def test_taking_back_twice_goes_back_two(bob, project, comparisons):
    first, second = comparisons(2)
    judge(bob, first, tie(2))
    judge(bob, second, tie(2))
    assert take_back(bob, project, key()).comparison == second
    assert take_back(bob, project, key()).comparison == first
    assert take_back(bob, project, key()) is None


def test_the_same_take_back_twice_goes_back_one(bob, project, comparisons):
    first, second = comparisons(2)
    judge(bob, first, tie(2))
    judge(bob, second, tie(2))
    assert take_back(bob, project, "once").comparison == second
    assert take_back(bob, project, "once").comparison == second
    assert last_said(bob, project).judgement.comparison == first


def test_a_skip_can_be_taken_back(bob, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, comparison, Choice(Kind.SKIPPED))
    assert next_lease(bob, project) is None
    assert take_back(bob, project, key()).comparison == comparison


def test_nobody_takes_back_what_another_said(bob, dora, project, comparisons):
    (comparison,) = comparisons()
    judge(bob, comparison, tie(2))
    assert take_back(dora, project, key()) is None
    assert judged(comparison) == 1


# ---- what the page says of it


@pytest.mark.parametrize(
    ("choice", "shown", "words"),
    [
        (best_of(0, 2), [1, 0], "answer 2"),
        (best_of(3, 4), [3, 0, 1, 2], "answer 1"),
        (tie(4), [3, 0, 1, 2], "tie"),
        (read_ranking("2 > 1 = 3", [2, 1, 0]), [2, 1, 0], "2 > 1 = 3"),
        (Choice(Kind.BOTH_BAD), [0, 1], "both bad"),
        (Choice(Kind.BOTH_BAD), [0, 1, 2], "all bad"),
        (Choice(Kind.SKIPPED), [0, 1], "skipped"),
    ],
)
def test_it_says_what_was_chosen_in_the_numbers_shown(choice, shown, words):
    tiers, unordered = [list(tier) for tier in choice.tiers], list(choice.unordered)
    assert in_words(Revision(kind=choice.kind, tiers=tiers, unordered=unordered, shown=shown)) == words


def test_today_counts_what_stands(bob, dora, project, comparisons):
    first, second, third, fourth = comparisons(4)
    next_lease(bob, project)
    moment = judge(bob, first, tie(2)).submitted_at - timedelta(seconds=1)
    judge(bob, second, Choice(Kind.BOTH_BAD))
    judge(bob, third, Choice(Kind.SKIPPED))
    judge(dora, fourth, tie(2))
    assert tally(bob, project, moment)[0] == 2
    take_back(bob, project, key())
    take_back(bob, project, key())
    assert tally(bob, project, moment)[0] == 1
    assert tally(bob, project, moment + timedelta(hours=1))[0] == 0


def test_what_was_said_yesterday_is_none_of_today_whatever_becomes_of_it(bob, project, comparisons):
    first, second, third = comparisons(3)
    next_lease(bob, project)
    judge(bob, first, tie(2))
    judge(bob, second, tie(2))
    Revision.objects.update(submitted_at=Now() - timedelta(days=1))
    day = timezone.now() - timedelta(hours=1)
    judge(bob, third, tie(2))
    assert tally(bob, project, day) == (1, 0)
    judge(bob, first, Choice(Kind.WITHDRAWN))
    assert tally(bob, project, day) == (1, 1)
    judge(bob, second, best_of(0, 2))  # anew, today
    judge(bob, first, best_of(0, 2))
    assert tally(bob, project, day)[0] == 3
    judge(bob, second, Choice(Kind.SKIPPED))
    assert tally(bob, project, day)[0] == 2


def test_what_is_kept_is_what_a_count_gives(bob, project, comparisons):
    """A hundred things are said at random; what was kept and changed with each is what is counted from nothing."""
    made, draw = comparisons(6), random.Random(7)
    next_lease(bob, project)
    day = timezone.now() - timedelta(hours=1)
    tally(bob, project, day)
    said = [tie(2), best_of(1, 2), Choice(Kind.SKIPPED), Choice(Kind.BOTH_BAD), Choice(Kind.WITHDRAWN)]
    for _ in range(100):
        comparison = draw.choice(made)
        if (choice := draw.choice(said)).kind != Kind.WITHDRAWN or comparison.judgements.exists():
            judge(bob, comparison, choice)
        kept = Seat.objects.values("today", "left").get()
        Seat.objects.update(counted_at=None)
        assert tally(bob, project, day) == (kept["today"], kept["left"])
