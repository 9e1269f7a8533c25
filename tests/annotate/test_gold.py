"""Making gold and practice comparisons, and how people do with them."""

import pytest

from annotate.checks import make_repeat
from annotate.damage import damaged
from annotate.gold import add, add_damaged, candidates, listed, outcomes, take_out
from annotate.judging import Choice, Kind, best_of, tie
from annotate.models import REAL, Comparison, Damage, Practised
from annotate.reliability import gold_agreement, self_consistency, share
from annotate.review import exclude, settle, settlement
from annotate.review_forms import BEGINNING
from generation.models import Completion
from tests.annotate.saying import say
from tests.annotate.test_damage import TEXT
from tests.annotate.test_races import crowd
from tests.people import ask_people

GOLD, PRACTICE = Comparison.Purpose.GOLD, Comparison.Purpose.PRACTICE


@pytest.fixture
def three(project, comparisons):
    """Three people, and a function that lets them judge a new comparison so."""
    ask_people(project, 3)
    people = crowd(3)

    def judge(*choices: Choice, answers: int = 2) -> Comparison:
        comparison = comparisons(1, answers)[0]
        for person, choice in zip(people, choices, strict=False):
            say(person, comparison, choice)
        return comparison

    judge.people = people
    return judge


def test_candidates_are_settled_or_agreed_on(alice, project, three):
    agreed = three(best_of(0, 2), best_of(0, 2), best_of(0, 2))
    bad = three(*[Choice(Kind.BOTH_BAD)] * 3)
    three(best_of(0, 2), best_of(0, 2), best_of(1, 2))
    three(best_of(0, 2), best_of(0, 2), tie(2))
    three(best_of(0, 2), best_of(0, 2), Choice(Kind.BOTH_BAD))
    three(best_of(0, 2), best_of(0, 2))  # still waits for the third
    settled = three(best_of(0, 2), best_of(1, 2), best_of(1, 2))
    settle(settled, best_of(0, 2), alice, [0, 1])
    found = candidates(project)
    assert list(found) == [settled, agreed, bad]
    assert [(one.people, one.settled) for one in found] == [(None, True), (3, False), (3, False)]


def test_who_is_left_out_is_not_asked(alice, project, three):
    three(best_of(0, 2), best_of(0, 2), best_of(0, 2))
    exclude(project, three.people[0], BEGINNING, alice)
    assert not candidates(project).exists()


def test_what_was_settled_is_expected(alice, project, three):
    original = three(*[best_of(0, 2)] * 3)
    settle(original, best_of(1, 2, reason="It answers the question"), alice, [0, 1])
    copy = add([original], GOLD, alice)[0]
    assert (copy.purpose, copy.repeats, copy.wanted, copy.prompt) == (GOLD, original, 0, original.prompt)
    assert settlement(copy).tiers == [[1], [0]]
    assert settlement(copy).reason == "It answers the question"
    assert settlement(copy).person == alice


def test_what_people_agreed_on_is_expected(alice, project, three):
    ranked = Choice(Kind.RANKED, ((2,), (0,), (1,)))
    other = Choice(Kind.RANKED, ((2,), (1,), (0,)))
    copy = add([three(ranked, other, other, answers=3)], PRACTICE, alice)[0]
    assert (settlement(copy).tiers, settlement(copy).unordered) == ([[2], [0, 1]], [1])
    assert settlement(copy).reason == "3 people said so, and nobody differed."
    bad = add([three(*[Choice(Kind.BOTH_BAD)] * 3)], GOLD, alice)[0]
    assert settlement(bad).kind == Kind.BOTH_BAD


def test_what_is_in_use_is_no_candidate_until_it_is_taken_out(alice, project, three):
    original = three(*[best_of(0, 2)] * 3)
    copy = add([original], PRACTICE, alice)[0]
    assert not candidates(project).exists()
    take_out(copy.check_made, alice)
    assert list(candidates(project)) == [original]


def test_a_damaged_copy_is_made_and_the_original_is_expected(alice, project, add_prompts, sampled):
    original = sampled({add_prompts("Why?")[0]: [TEXT, "No."]})[0]
    made = add_damaged(project, 3, GOLD, alice, seed=7, kinds=["cut"])
    assert len(made) == 1  # “No.” cannot be damaged
    gold = made[0]
    whole = original.answers.get(completion__text=TEXT).completion
    copy = Damage.objects.get().completion
    assert copy.text == damaged(TEXT, "cut", 7)
    assert (copy.parent, copy.finish_reason, copy.context, copy.item) == (whole, "stop", whole.context, None)
    assert (gold.slots, gold.wanted, gold.purpose, gold.context) == (2, 0, GOLD, original.context)
    assert gold.repeats == original
    first = settlement(gold).tiers[0][0]
    assert gold.answers.get(number=first).completion == whole
    assert gold.answers.get(number=1 - first).completion == copy
    assert "breaks off in the middle" in settlement(gold).reason
    assert add_damaged(project, 3, GOLD, alice, seed=8, kinds=["cut"]) == []


def test_answers_of_comparisons_of_more_than_two_are_not_damaged(alice, project, add_prompts, sampled):
    """Which answer is best would not be known, and two beside comparisons of three would stand out."""
    project.answers_per_comparison = 3
    project.save()
    sampled({add_prompts("Why?")[0]: [TEXT, "No.", "Yes."]})
    assert add_damaged(project, 1, GOLD, alice, seed=7) == []


def test_the_kinds_take_turns_and_the_seed_decides(alice, project, add_prompts, sampled):
    prompts = add_prompts(*(f"Why {number}?" for number in range(8)))
    sampled({prompt: [f"{TEXT}\n\nThat is number {prompt.pk}.", "No."] for prompt in prompts})
    add_damaged(project, 8, PRACTICE, alice, seed=7)
    assert sorted(Damage.objects.values_list("kind", flat=True)) == sorted(Damage.Kind.values * 2)
    before = set(Completion.objects.filter(damage__isnull=False).values_list("text", flat=True))
    again = {damaged(one.completion.parent.text, one.kind, one.seed) for one in Damage.objects.all()}
    assert again == before


def test_damaged_copies_are_no_answers_of_the_prompt(client, alice, project, add_prompts, sampled):
    sampled({add_prompts("Why?")[0]: [TEXT, "No."]})
    add_damaged(project, 1, GOLD, alice, seed=7)
    client.force_login(alice)
    assert client.get("/p/plain/prompts/").context["rows"][0][1] == 2


def test_taking_out_is_a_date_and_deletes_nothing(alice, bob, project, three):
    copy = add([three(*[best_of(0, 2)] * 3)], GOLD, alice)[0]
    say(bob, copy, best_of(1, 2))
    take_out(copy.check_made, alice)
    check = listed(project, GOLD).get()
    assert check.taken_out_at and check.taken_out_by == alice
    assert settlement(copy) is None
    assert outcomes([check])[0].said == 1
    assert gold_agreement(project) == {}


def test_how_people_did(alice, bob, dora, project, three, django_assert_num_queries):
    original = three(*[best_of(0, 2)] * 3)
    gold = add([original], GOLD, alice)[0]
    say(bob, gold, best_of(0, 2))
    say(dora, gold, best_of(1, 2))
    say(three.people[0], gold, Choice(Kind.SKIPPED))
    practice = add_practice(alice, three)
    for run, agreed in ((1, False), (2, True)):
        Practised.objects.create(comparison=practice, person=bob, run=run, kind="ranked", shown=[0, 1], agreed=agreed)
    with django_assert_num_queries(4):  # settlements, damages, votes, practices
        one, other = outcomes([gold.check_made, practice.check_made])
    assert (one.said, one.same, other.said, other.same) == (2, 1, 1, 0)


def add_practice(alice, three):
    return add([three(*[best_of(0, 2)] * 3)], PRACTICE, alice)[0]


# ---- What each person's checks say of them.


def test_gold_agreement_counts_who_put_the_same_first(alice, bob, dora, project, comparisons):
    for number, comparison in enumerate(comparisons(6)):
        settle(comparison, best_of(0, 2), alice, [0, 1])
        Comparison.objects.filter(pk=comparison.pk).update(judged=1)
        gold = add([comparison], GOLD, alice)[0]
        say(bob, gold, best_of(int(number == 0), 2))
        say(dora, gold, Choice(Kind.SKIPPED) if number else tie(2))
    found = gold_agreement(project)
    assert (found[bob.pk].judged, found[bob.pk].same) == (6, 5)
    assert found[bob.pk].share == share(5, 6)
    assert (found[dora.pk].judged, found[dora.pk].same) == (1, 0)
    exclude(project, bob, BEGINNING, alice)
    assert set(gold_agreement(project)) == {dora.pk}


def test_self_consistency_compares_with_the_first_time(bob, dora, project, comparisons):
    ask_people(project, 2)
    for number, comparison in enumerate(comparisons(5)):
        say(bob, comparison, best_of(0, 2))
        say(dora, comparison, best_of(1, 2))
        say(bob, make_repeat(bob, comparison), best_of(int(number < 2), 2))
    found = self_consistency(project)
    assert set(found) == {bob.pk}
    assert (found[bob.pk].judged, found[bob.pk].same) == (5, 3)


def test_a_share_has_wilsons_interval_from_five_on():
    """Wilson's interval of 4 of 5: centre (0.8 + z²/10) / (1 + z²/5), as in Wilson 1927; z = 1.96."""
    z = 1.959964
    centre = (0.8 + z * z / 10) / (1 + z * z / 5)
    half = z / (1 + z * z / 5) * (0.8 * 0.2 / 5 + z * z / 100) ** 0.5
    found = share(4, 5)
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert share(4, 4).value is None
    assert share(4, 4).missing == "This needs 5. There are 4 so far."


def test_checks_are_never_of_the_real_purposes():
    assert {str(purpose) for purpose in REAL} == {"train", "evaluation"}
