import pytest
from django.urls import reverse

from generation.engine import Parameters
from generation.models import Policy, SamplingJob
from generation.sampling import create_sampling_job
from jobs.models import Job
from projects.models import Prompt

ADDRESS = "/p/plain/sampling/"
PARAMETERS = Parameters(n=4, temperature=1.0, top_p=1.0, top_k=0, max_tokens=96)


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def filled(policy):
    return {
        "policy": policy.pk,
        "prompts": "all",
        "limit": "",
        "n": "4",
        "temperature": "1.0",
        "max_tokens": "96",
        "top_p": "1",
        "top_k": "0",
        "seed": "",
    }


def errors(response, field):
    return response.context["form"].errors.get(field)


def test_it_launches_a_job(page, add_prompts, filled, alice):
    prompts = add_prompts("One?", "Two?", "Three?")
    response = page.post(ADDRESS, filled | {"limit": "2", "temperature": "0.9", "seed": "7"})
    job = SamplingJob.objects.get()
    assert response.url == reverse("sampling_job", args=["plain", job.pk])
    assert (job.n, job.temperature, job.top_p, job.top_k, job.max_tokens, job.seed) == (4, 0.9, 1.0, 0, 96, 7)
    assert job.created_by == alice
    assert [item.prompt for item in job.items.order_by("position")] == prompts[:2]


def test_an_empty_seed_is_drawn(page, add_prompts, filled):
    add_prompts("One?")
    page.post(ADDRESS, filled)
    page.post(ADDRESS, filled)
    first, second = SamplingJob.objects.all()
    assert first.seed != second.seed


def test_it_offers_the_right_defaults(page, project, policy, add_prompts):
    prompts = add_prompts("One?", "Two?", "Three?")
    create_sampling_job(project, [policy], prompts[:1], parameters=PARAMETERS, seed=1)
    form = page.get(ADDRESS).context["form"]
    assert form.initial["prompts"] == "unsampled"
    assert form.initial["max_tokens"] == 96
    assert form.initial["n"] == 4
    assert [label for _, label in form.fields["prompts"].choices] == ["not sampled yet (2)", "all (3)", "held out (0)"]


def test_it_offers_what_a_round_made_before_a_newer_base(page, project, policy, add_prompts):
    add_prompts("One?")
    made = Policy.objects.create(
        name="Round 1", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64, project=project, base=policy
    )
    Policy.objects.create(name="Newer base", path="y", fingerprint="b" * 64, tokenizer_fingerprint="t" * 64)
    assert page.get(ADDRESS).context["form"].initial["policy"] == made


def test_it_samples_only_what_was_chosen(page, project, policy, add_prompts, filled):
    first, second, third = add_prompts("One?", "Two?", "Three?")
    Prompt.objects.filter(pk=third.pk).update(side=Prompt.Side.HELD_OUT)
    create_sampling_job(project, [policy], [first], parameters=PARAMETERS, seed=1)
    page.post(ADDRESS, filled | {"prompts": "held-out"})
    assert [item.prompt for item in SamplingJob.objects.latest("pk").items.all()] == [third]
    page.post(ADDRESS, filled | {"prompts": "unsampled"})
    assert [item.prompt for item in SamplingJob.objects.latest("pk").items.all()] == [second]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n", "1", "Ask for 2 answers or more: people compare them with each other."),
        ("n", "65", "Give a whole number from 1 to 64."),
        ("n", "four", "Give a whole number from 1 to 64."),
        (
            "temperature",
            "0",
            "At temperature 0 every answer to a prompt is the same, so there is nothing to compare. Did you mean 1.0?",
        ),
        ("temperature", "9", "Give a number from 0 to 5."),
        (
            "max_tokens",
            "2048",
            "The model server reads at most 2,048 tokens, prompt and answer together. Give less, 1,024 for example.",
        ),
        ("top_p", "0", "Give a number from 0.01 to 1."),
        ("limit", "0", "Give a whole number from 1 to 10,000,000."),
        ("limit", "9" * 30, "Give a whole number from 1 to 10,000,000."),
        ("top_k", "3000000000", "Give a whole number from 0 to 10,000,000."),
        ("seed", "-1", "Give a whole number from 0 to 2,147,483,647."),
        ("prompts", "held-out", "No prompt is held out in this project."),
        ("policy", "999", "This policy is not to be had here. Choose one of the list."),
    ],
)
def test_it_says_what_is_wrong_and_keeps_what_was_typed(page, settings, add_prompts, filled, field, value, message):
    settings.WINNOW_CONTEXT_TOKENS = 2048
    add_prompts("One?")
    response = page.post(ADDRESS, filled | {field: value})
    assert response.status_code == 200
    assert errors(response, field) == [message]
    assert response.context["form"][field].value() == value
    assert not SamplingJob.objects.exists()


def test_it_refuses_prompts_that_were_all_sampled(page, project, policy, add_prompts, filled):
    create_sampling_job(project, [policy], add_prompts("One?"), parameters=PARAMETERS, seed=1)
    response = page.post(ADDRESS, filled | {"prompts": "unsampled"})
    assert errors(response, "prompts") == ["Every prompt was sampled already. Choose all to sample them again."]


def test_it_refuses_another_projects_policy(page, project, add_prompts, filled):
    from projects.models import Project

    add_prompts("One?")
    other = Project.objects.create(name="Other", slug="other")
    foreign = Policy.objects.create(
        name="Theirs", path="x", fingerprint="c" * 64, tokenizer_fingerprint="t" * 64, project=other
    )
    response = page.post(ADDRESS, filled | {"policy": foreign.pk})
    assert errors(response, "policy") == ["This policy is not to be had here. Choose one of the list."]


def test_it_says_what_the_job_will_do(page, add_prompts, filled):
    add_prompts("One?", "Two?", "Three?")
    headers = {"HX-Request": "true", "HX-Target": "plan"}
    text = page.get(ADDRESS, filled | {"limit": "2", "n": "5"}, headers=headers).content.decode()
    assert "2 prompts × 5 answers" in text
    assert "10 answers, judged 2 at a time: up to 4 comparisons" in text
    assert "one answer to each prompt is left over" in text
    assert "<h1>" not in text
    assert "Not ready yet" in page.get(ADDRESS, filled | {"n": "many"}, headers=headers).content.decode()


def test_the_list_shows_jobs_and_polls_only_while_one_is_active(page, project, policy, add_prompts):
    job = create_sampling_job(project, [policy], add_prompts("One?"), parameters=PARAMETERS, seed=1)
    headers = {"HX-Request": "true", "HX-Target": "jobs"}
    text = page.get(ADDRESS, headers=headers).content.decode()
    assert "Sampling from Tiny base" in text
    assert "Queued" in text
    assert 'hx-trigger="every 2s"' in text
    Job.objects.filter(pk=job.pk).update(status=Job.Status.SUCCEEDED)
    text = page.get(ADDRESS, headers=headers).content.decode()
    assert "Succeeded" in text
    assert "hx-trigger" not in text


def test_without_prompts_or_policies_it_says_what_comes_first(page, olga):
    assert "No model to sample from yet" in page.get(ADDRESS).content.decode()
    Policy.objects.create(name="Base", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64)
    text = page.get(ADDRESS).content.decode()
    assert "Start with prompts" in text
    assert reverse("prompts", args=["plain"]) in text


def test_queries(page, project, policy, add_prompts, django_assert_num_queries):
    prompts = add_prompts("One?", "Two?")
    for seed in range(5):
        create_sampling_job(project, [policy], prompts, parameters=PARAMETERS, seed=seed)
    # 1 session, 2 person, 3 project, 4 membership; prompts: 5 not sampled, 6 all, 7 held out; 8 the last job;
    # 9 the newest policy of the project, 10 or of all; jobs: 11 count, 12 page;
    # the policies to choose from: 13 whether the first is empty, 14 all
    with django_assert_num_queries(14):
        page.get(ADDRESS)
