"""Comparisons to judge."""

from itertools import count

import pytest


@pytest.fixture
def comparisons(project, add_prompts, sampled):
    """Return a function that makes comparisons of so many different answers each."""
    numbers = count(1)

    def make(how_many: int = 1, answers: int = 2):
        project.answers_per_comparison = answers
        project.save()
        known = set(project.prompts.values_list("pk", flat=True))
        prompts = add_prompts(*(f"Question {next(numbers)}?" for _ in range(how_many)))
        new = [prompt for prompt in prompts if prompt.pk not in known]
        return sampled({prompt: [f"Reply {i} to {prompt.text}" for i in range(answers)] for prompt in new})

    return make
