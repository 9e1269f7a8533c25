"""Sampled answers are dealt into comparisons."""

from annotate.comparisons import apply_overlap
from annotate.models import Comparison
from generation.models import SamplingItem, SamplingJob
from generation.signals import item_sampled
from projects.models import Project


def test_it_works(project, add_prompts, sampled):
    prompt, other = add_prompts("One?", "Two?")
    first, second = sampled({prompt: ["a", "b"], other: ["c", "d"]})
    assert (first.prompt, first.project, first.slots, first.judged, first.purpose) == (prompt, project, 2, 0, "train")
    assert first.context == first.answers.first().completion.context
    assert sorted(first.answers.values_list("number", "completion__text")) in (
        [(0, "a"), (1, "b")],
        [(0, "b"), (1, "a")],
    )
    assert second.prompt == other


def test_more_answers_than_a_comparison_takes_make_several(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    made = sampled({prompt: list("abcd")})
    assert [comparison.slots for comparison in made] == [2, 2]
    assert sorted(text for c in made for text in c.answers.values_list("completion__text", flat=True)) == list("abcd")


def test_an_answer_left_alone_is_not_shown(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    assert [comparison.slots for comparison in sampled({prompt: list("abc")})] == [2]


def test_answers_that_read_the_same_share_a_slot(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    (comparison,) = sampled({prompt: ["yes", " yes\n", "no", ""]})
    slots: dict[int, set[str]] = {}
    for number, text in comparison.answers.values_list("number", "completion__text"):
        slots.setdefault(number, set()).add(text)
    assert sorted(map(sorted, slots.values())) == [[" yes\n", "yes"], ["no"]]


def test_answers_that_differ_in_what_shows_do_not_share_a_slot(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    (comparison,) = sampled({prompt: ["if x:\n    y\nz", "if x:\n    y\n    z", "if x:  \n    y\nz\n"]})
    assert comparison.slots == 2
    assert comparison.answers.count() == 3


def test_one_answer_said_by_all_is_nothing_to_judge(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    assert sampled({prompt: ["yes", "yes"]}) == []


def test_slots_do_not_follow_the_order_of_sampling(project, add_prompts, sampled):
    prompts = add_prompts(*(f"Question {n}?" for n in range(12)))
    made = sampled({prompt: [f"a {prompt.pk}", f"b {prompt.pk}"] for prompt in prompts})
    first_sampled = {c.answers.get(completion__index=0).number for c in made}
    assert first_sampled == {0, 1}


def test_what_compares_two_policies_is_not_put_before_people(project, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    sampled({prompt: ["a", "b"]})
    Comparison.objects.all().delete()
    SamplingJob.objects.update(purpose=SamplingJob.Purpose.COMPARE)
    item_sampled.send(sender=SamplingItem, item=SamplingItem.objects.get())
    assert not Comparison.objects.exists()


def test_of_two_overlaps_saved_at_once_the_last_one_holds(project, add_prompts, sampled):
    """Whoever is slower to apply theirs goes by what the project says by now."""
    sampled({prompt: ["yes", "no"] for prompt in add_prompts("One?", "Two?")})
    slower = Project.objects.get()
    slower.overlap = 2
    Project.objects.update(overlap=3)
    apply_overlap(slower)
    assert set(Comparison.objects.values_list("wanted", flat=True)) == {3}
