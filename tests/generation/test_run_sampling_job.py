"""Running a sampling job: exactly n completions a prompt, whatever happens in between."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from annotate.models import Comparison
from generation import sampling
from generation.engine import Parameters
from generation.models import Completion, SamplingItem
from jobs.attempts import Attempt, Superseded, cancel, run_job
from jobs.models import Device, Job
from tests.generation.endpoints import fake_endpoint, good_answer

PARAMETERS = Parameters(n=3, temperature=1.0, top_p=0.9, top_k=40, max_tokens=32)


@pytest.fixture
def device(db, policy):
    """A device whose server is ready with the policy's checkpoint; each test says where."""
    return Device.objects.create(
        name="local",
        kind="cpu",
        heartbeat=Now() + timedelta(hours=1),
        server=Device.Server.READY,
        server_checkpoint=policy.checkpoint,
        server_lora_rank=16,
    )


@pytest.fixture
def job(project, policy, add_prompts):
    prompts = add_prompts("Why is the sea salty?", "Name a tree.", "What is 2 + 2?")
    return sampling.create_sampling_job(project, [policy], prompts, parameters=PARAMETERS, seed=100)


def run(job, device, answer):
    with fake_endpoint(answer) as url:
        Device.objects.update(server_url=url)
        run_job(job.pk, sampling.run_sampling_job)
    job.refresh_from_db()


def good(request, calls):
    return 200, good_answer(request)


def test_it_works(job, device):
    run(job, device, good)
    assert (job.status, job.progress, job.total) == (Job.Status.SUCCEEDED, 3, 3)
    assert Completion.objects.count() == 9
    completion = Completion.objects.get(item__position=1, index=2)
    assert (completion.seed, completion.text) == (100 + 1 * 3 + 2, "answer 105")
    assert (completion.token_ids, completion.log_probability) == ([5, 6], -1.5)
    assert completion.context.token_ids == [1, 2, 3]
    assert completion.context.tokenizer_fingerprint == completion.policy.tokenizer_fingerprint
    assert Comparison.objects.count() == 3
    device.refresh_from_db()
    assert device.holder is None


def test_no_two_completions_share_a_seed(job, device):
    run(job, device, good)
    seeds = list(Completion.objects.values_list("seed", flat=True))
    assert len(set(seeds)) == len(seeds) == 9


def test_every_sampling_field_is_sent(job, device):
    sent = []

    def answer(request, calls):
        sent.append(request)
        return 200, good_answer(request)

    run(job, device, answer)
    fields = {key: sent[0][key] for key in ("n", "temperature", "top_p", "top_k", "max_tokens", "model")}
    assert fields == {"n": 3, "temperature": 1.0, "top_p": 0.9, "top_k": 40, "max_tokens": 32, "model": "base"}


def test_a_failing_server_loses_and_doubles_nothing(job, device, monkeypatch):
    monkeypatch.setattr(sampling, "PAUSE_AFTER_FAILURE_SECONDS", 0)
    run(job, device, lambda request, calls: (200, b"garbage") if calls % 2 else good(request, calls))
    assert job.status == Job.Status.SUCCEEDED
    per_item = [item.completions.count() for item in job.items.all()]
    assert per_item == [3, 3, 3]


def test_a_server_that_never_makes_sense_fails_the_job(job, device, monkeypatch):
    monkeypatch.setattr(sampling, "PAUSE_AFTER_FAILURE_SECONDS", 0)
    monkeypatch.setattr(sampling, "FAILURE_PATIENCE_SECONDS", 0)
    run(job, device, lambda request, calls: (200, b"garbage"))
    assert job.status == Job.Status.FAILED
    assert "makes no sense" in job.error
    assert "It failed 6 times without an answer in between." in job.error


def test_a_server_gets_time_to_come_back(job, device, monkeypatch):
    """A device process that died is not back within five failures in a row: time decides too."""
    monkeypatch.setattr(sampling, "PAUSE_AFTER_FAILURE_SECONDS", 0)
    run(job, device, lambda request, calls: (200, b"garbage") if calls <= 40 else good(request, calls))
    assert job.status == Job.Status.SUCCEEDED
    assert Completion.objects.count() == 9


def test_a_refused_prompt_keeps_its_reason_and_the_others_go_on(job, device):
    def answer(request, calls):
        if "tree" in request["messages"][-1]["content"]:
            return 400, {"error": {"message": "the prompt is too long"}}
        return good(request, calls)

    run(job, device, answer)
    assert job.status == Job.Status.SUCCEEDED
    failed = job.items.get(status=SamplingItem.Status.FAILED)
    assert (failed.prompt.text, failed.error) == ("Name a tree.", "the prompt is too long")
    assert Completion.objects.count() == 6


def test_when_every_prompt_is_refused_the_job_says_why(job, device):
    run(job, device, lambda request, calls: (400, {"error": {"message": "the prompt is too long"}}))
    assert job.status == Job.Status.FAILED
    assert job.error == "The model refused every prompt. The first refusal: the prompt is too long"


def test_it_goes_on_where_an_earlier_attempt_died(job, device):
    first = Attempt(job.pk, Job.objects.claim(job.pk))
    item = job.items.first()
    with fake_endpoint(good) as url:
        Device.objects.update(server_url=url)
        engine = sampling.VllmEngine(url, "base")
        (sampled,) = engine.sample(
            [sampling.Request(item.pk, item.prompt.messages, item.seed)], PARAMETERS, lambda: True
        )
    sampling.store(first, item, item.policy, sampled)
    first.requeue("its worker died")
    asked = []
    run(job, device, lambda request, calls: (asked.append(request["seed"]), good(request, calls))[1])
    assert sorted(asked) == [103, 106]
    assert Completion.objects.count() == 9


def test_an_attempt_that_has_ended_stores_nothing(job, device):
    first = Attempt(job.pk, Job.objects.claim(job.pk))
    first.requeue("its worker was paused")
    Attempt(job.pk, Job.objects.claim(job.pk))
    item = job.items.first()
    with fake_endpoint(good) as url:
        request = sampling.Request(item.pk, item.prompt.messages, item.seed)
        (sampled,) = sampling.VllmEngine(url, "base").sample([request], PARAMETERS, lambda: True)
    with pytest.raises(Superseded, match="has ended"):
        sampling.store(first, item, item.policy, sampled)
    assert Completion.objects.count() == 0
    assert Comparison.objects.count() == 0


def test_it_waits_while_a_round_wants_the_device(job, device, monkeypatch):
    """The device goes to the round at a prompt boundary; the job says what it waits for, then goes on."""
    round = Job.objects.create(queue="training", task="train.tasks.run_round", title="round 1")
    monkeypatch.setattr("generation.engine.WINDOW", 1)
    messages = []

    store = sampling.store

    def store_and_let_a_round_wait(*arguments):
        store(*arguments)
        if Completion.objects.count() == 3:
            Device.objects.update(awaited_by=round)

    def wait(seconds):
        messages.append(Job.objects.get(pk=job.pk).message)
        assert Completion.objects.count() == 3, "the prompt under way is finished, no other is begun"
        Job.objects.filter(pk=round.pk).update(status=Job.Status.SUCCEEDED)

    monkeypatch.setattr(sampling, "store", store_and_let_a_round_wait)
    monkeypatch.setattr(sampling.devices.stopping, "wait", wait)
    run(job, device, good)
    assert messages == ["Waiting for a device: local is busy with round 1."]
    assert (job.status, Completion.objects.count()) == (Job.Status.SUCCEEDED, 9)


def test_nul_and_lone_surrogates_are_replaced(job, device):
    def answer(request, calls):
        body = good_answer(request)
        for choice in body["choices"]:
            choice["message"]["content"] += "\x00\ud800"
        return 200, body

    run(job, device, answer)
    assert set(Completion.objects.values_list("text", flat=True)) >= {"answer 100\ufffd\ufffd"}


def test_what_a_cancelled_job_left_is_still_to_be_sampled(job, project):
    assert not sampling.unsampled_prompts(project)
    cancel(job)
    assert len(sampling.unsampled_prompts(project)) == 3
