import io

import pytest
from django.core.management import CommandError, call_command

from generation.engine import Parameters
from generation.models import Policy, SamplingJob
from generation.sampling import create_sampling_job
from jobs import follow
from jobs.models import Job


@pytest.fixture
def prompts(policy, add_prompts):
    return add_prompts("One?", "Two?", "Three?")


def sample(*options):
    output = io.StringIO()
    call_command("sample", "plain", *options, stdout=output)
    return output.getvalue()


def test_it_queues_a_job_with_the_pages_defaults(prompts, policy):
    output = sample("--no-wait")
    job = SamplingJob.objects.get()
    assert output == f"Queued as job {job.pk}: 3 prompts, 4 answers to each, seed {job.seed}.\n"
    assert (job.n, job.temperature, job.top_p, job.top_k, job.max_tokens) == (4, 1.0, 1.0, 0, 512)
    assert {item.policy for item in job.items.all()} == {policy}


def test_it_obeys_its_options(prompts, policy):
    other = Policy.objects.create(name="Other", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64)
    options = "--prompts all --limit 2 -n 3 --temperature 0.7 --top-p 0.9 --top-k 50 --max-tokens 32 --seed 9 --no-wait"
    sample("--policy", "Other", *options.split())
    job = SamplingJob.objects.get()
    assert (job.n, job.temperature, job.top_p, job.top_k, job.max_tokens, job.seed) == (3, 0.7, 0.9, 50, 32, 9)
    assert [(item.policy, item.prompt) for item in job.items.order_by("position")] == [
        (other, prompt) for prompt in prompts[:2]
    ]


def test_a_policy_may_be_given_by_its_id(prompts, policy):
    sample("--policy", str(policy.pk), "--no-wait")
    assert SamplingJob.objects.exists()


def test_it_follows_the_job_to_its_end(prompts, monkeypatch):
    steps = iter([{"status": "running", "message": "Waiting for the device."}, {"status": "succeeded", "progress": 3}])
    monkeypatch.setattr(follow, "wait", lambda: Job.objects.filter(queue="sampling").update(**next(steps)))
    assert sample().splitlines()[1:] == [
        "sampling from Tiny base: queued, 0 of 3",
        "sampling from Tiny base: running, Waiting for the device.",
        "sampling from Tiny base: succeeded, 3 of 3",
    ]


def test_it_fails_with_the_jobs_error(prompts, monkeypatch):
    monkeypatch.setattr(follow, "wait", lambda: Job.objects.update(status="failed", error="No device."))
    with pytest.raises(CommandError, match=r"^No device\.$"):
        sample()


def test_it_lists_what_there_is_for_an_unknown_name(prompts, policy):
    with pytest.raises(CommandError, match="There is no project “plane”. Known: plain."):
        call_command("sample", "plane")
    with pytest.raises(CommandError, match=rf"There is no policy “Tiny”. Known: Tiny base \({policy.pk}\)."):
        sample("--policy", "Tiny")


def test_it_checks_like_the_page(prompts, project, policy):
    with pytest.raises(CommandError, match="-n: Ask for 2 answers or more: people compare them with each other."):
        sample("-n", "1")
    create_sampling_job(project, [policy], prompts, parameters=Parameters(2, 1.0, 1.0, 0, 64))
    with pytest.raises(CommandError, match="--prompts: Every prompt was sampled already."):
        sample()


def test_without_a_policy_it_says_so(add_prompts):
    add_prompts("One?")
    with pytest.raises(CommandError, match="--policy: Choose a policy."):
        sample("--no-wait")
