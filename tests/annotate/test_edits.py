"""A better answer of a person's own: what is taken, what it becomes, and what it leaves alone."""

import uuid

import pytest

from annotate.edits import LONGEST_EDIT, Edit, EditError, own_text, read_edit
from annotate.judging import Choice, Kind, best_of, in_words, read_ranking, record, take_back, tie
from annotate.models import Comparison, Judgement, PreferencePair, Revision, Slot
from annotate.queue import next_lease
from annotate.review import Refused, exclude, lift, settle, unsettle
from annotate.review_forms import BEGINNING
from annotate.votes import pairs_said, read_judgements, votes_of
from generation.models import Completion
from tests.people import ask_people


@pytest.fixture
def comparison(project, comparisons):
    (made,) = comparisons(answers=3)
    ask_people(project, 2)
    return made


def judge(person, comparison, choice, shown=None, client_key=""):
    shown = shown or list(range(comparison.slots))
    return record(person, comparison, choice, shown=shown, client_key=client_key or str(uuid.uuid4()))


def texts(comparison) -> list[str]:
    return list(comparison.answers.order_by("number").values_list("completion__text", flat=True))


def current_pairs() -> set[tuple[str, str]]:
    return set(PreferencePair.objects.current().values_list("chosen__text", "rejected__text"))


def test_it_works(bob, comparison):
    first, second, third = texts(comparison)
    revision = judge(bob, comparison, best_of(1, 3, edit=Edit("Much better.", 1)))
    assert current_pairs() == {
        ("Much better.", first),
        ("Much better.", second),
        ("Much better.", third),
        (second, first),
        (second, third),
    }
    edit = revision.edit
    assert (edit.author, edit.policy, edit.token_ids, edit.finish_reason) == (bob, None, None, "written")
    assert (edit.prompt, edit.context) == (comparison.prompt, comparison.context)
    assert edit.parent.text == second
    assert (revision.kind, revision.tiers, revision.unordered) == ("ranked", [[1], [0, 2]], [1])


def test_it_stands_above_a_ranking(bob, comparison):
    first, second, third = texts(comparison)
    judge(bob, comparison, read_ranking("3>1=2", [0, 1, 2], edit=Edit("Mine.", 0)))
    mine = {("Mine.", text) for text in (first, second, third)}
    assert current_pairs() == mine | {(third, first), (third, second)}


def test_what_comes_from_nothing_says_that_all_are_bad(bob, comparison):
    revision = judge(bob, comparison, Choice(Kind.BOTH_BAD, edit=Edit("Mine.", None)))
    assert current_pairs() == {("Mine.", text) for text in texts(comparison)}
    assert revision.edit.parent is None
    assert Comparison.objects.get().judged == 1


def test_nobody_else_sees_it(bob, dora, project, comparison):
    judge(bob, comparison, best_of(0, 3, edit=Edit("Mine.", 0)))
    comparison.refresh_from_db()
    assert comparison.slots == 3
    assert not Slot.objects.filter(completion__text="Mine.").exists()
    assert sorted(next_lease(dora, project).shown) == [0, 1, 2]
    assert own_text(dora, comparison, [0, 1, 2]) is None


def test_the_same_submit_twice_writes_one_answer(bob, comparison):
    for _ in range(2):
        judge(bob, comparison, best_of(0, 3, edit=Edit("Mine.", 0)), client_key="once")
    assert Completion.objects.filter(author=bob).count() == 1


def test_written_again_it_is_another_answer_and_the_first_stays_with_its_revision(bob, comparison):
    before = judge(bob, comparison, best_of(0, 3, edit=Edit("First try.", 0)))
    judge(bob, comparison, best_of(0, 3, edit=Edit("Second try.", 0)))
    assert {chosen for chosen, _ in current_pairs()} == {"Second try.", texts(comparison)[0]}
    assert Revision.objects.get(pk=before.pk).edit.text == "First try."
    judge(bob, comparison, tie(3))
    assert current_pairs() == set()


def test_taken_back_it_counts_no_more_and_can_be_gone_on_with(bob, project, comparison):
    judge(bob, comparison, best_of(2, 3, edit=Edit("Mine.", 2)), shown=[2, 0, 1])
    take_back(bob, project, "back")
    assert current_pairs() == set()
    own = own_text(bob, comparison, [2, 0, 1])
    assert (own.of, own.text) == (1, "Mine.")


def test_an_own_text_from_nothing_is_of_no_answer(bob, comparison):
    judge(bob, comparison, Choice(Kind.BOTH_BAD, edit=Edit("Mine.", None)))
    assert own_text(bob, comparison, [2, 0, 1]).of == 0


def test_agreement_does_not_know_it(bob, dora, project, comparison):
    judge(bob, comparison, best_of(1, 3, edit=Edit("Mine.", 1)))
    judge(dora, comparison, best_of(1, 3))
    judgements, left_out = read_judgements(project)
    assert (len(judgements), left_out) == (2, 0)
    (mine, others) = judgements
    assert (mine.tiers, mine.unordered) == (others.tiers, others.unordered)
    assert len(votes_of(project, judgements).value) == 2 * len(pairs_said(((1,), (0, 2)), (1,)))


def test_a_settlement_wins_over_it(alice, bob, comparison):
    first, second, third = texts(comparison)
    judge(bob, comparison, best_of(0, 3, edit=Edit("Mine.", 0)))
    settle(comparison, best_of(2, 3), alice, [0, 1, 2])
    assert current_pairs() == {(third, first), (third, second)}
    unsettle(comparison, alice)
    assert ("Mine.", first) in current_pairs()
    with pytest.raises(Refused, match="A settlement says which answers are better"):
        settle(comparison, best_of(2, 3, edit=Edit("Mine.", 2)), alice, [0, 1, 2])


def test_it_goes_and_comes_with_its_author_s_judgements(alice, bob, project, comparison):
    judge(bob, comparison, best_of(0, 3, edit=Edit("Mine.", 0)))
    exclusion = exclude(project, bob, BEGINNING, alice)
    assert current_pairs() == set()
    lift(exclusion, alice)
    assert len(current_pairs()) == 5


def test_a_judgement_keeps_its_place_in_the_overlap(bob, comparison):
    judge(bob, comparison, best_of(0, 3, edit=Edit("Mine.", 0)))
    assert Comparison.objects.get().judged == 1
    assert Judgement.objects.count() == 1


# ---- what is taken


@pytest.mark.parametrize(
    ("text", "parent", "error"),
    [
        ("", 0, "Your text is empty. Write an answer, or choose one of those shown."),
        (" \n\t ", None, "Your text is empty."),
        ("x" * (LONGEST_EDIT + 1), 0, "Your text has 50,001 characters; at most 50,000 are taken. Shorten it."),
        ("a\0b", 0, "Your text holds a NUL character or half of a surrogate pair. Remove it."),
        ("a\ud800b", 0, "Your text holds a NUL character or half of a surrogate pair. Remove it."),
        ("Reply 0 \r\n", 0, "You changed nothing in answer 2. Change it, or choose it as it is."),
        ("Reply 1", 0, "Your text reads like answer 1. Change it, or choose answer 1."),
        ("\nReply 1", None, "Your text reads like answer 1. Change it, or choose answer 1."),
    ],
    ids=["empty", "blank", "long", "nul", "surrogate", "unchanged", "another", "another from nothing"],
)
def test_it_rejects_what_is_no_better_answer(project, add_prompts, sampled, text, parent, error):
    (prompt,) = add_prompts("Which?")
    (comparison,) = sampled({prompt: ["Reply 0", "Reply 1"]})
    slots = dict(comparison.answers.values_list("completion__text", "number"))
    shown = [slots["Reply 1"], slots["Reply 0"]]
    with pytest.raises(EditError) as caught:
        read_edit(text, None if parent is None else slots["Reply 0"], comparison, shown)
    assert str(caught.value).startswith(error)


def test_a_text_keeps_its_lines_and_its_indentation(comparison):
    edit = read_edit("\r\n    code\r\nMore.  \r\n\r\n", 0, comparison, [0, 1, 2])
    assert edit == Edit("    code\nMore.", 0)
    assert len(read_edit("🐑" * LONGEST_EDIT, 0, comparison, [0, 1, 2]).text) == LONGEST_EDIT


# ---- what is said of it


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (best_of(0, 2), "your text > answer 2"),
        (best_of(0, 3), "your text > answer 2"),
        (read_ranking("2>1=3", [1, 0, 2]), "your text > 2 > 1 = 3"),
        (tie(2), "your text; tie"),
        (Choice(Kind.BOTH_BAD), "your text; both bad"),
    ],
)
def test_it_stands_in_front_of_what_was_chosen(choice, words):
    shown = [1, 0, 2][: max(2, len({slot for tier in choice.tiers for slot in tier}))]
    tiers, unordered = [list(tier) for tier in choice.tiers], list(choice.unordered)
    revision = Revision(kind=choice.kind, tiers=tiers, unordered=unordered, shown=shown, edit_id=1)
    assert in_words(revision) == words
    assert in_words(revision, "own text") == words.replace("your", "own")
