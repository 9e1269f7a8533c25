import pytest

from generation.engine import Answer, Parameters, Sampled
from generation.sampling import create_sampling_job, store
from jobs.attempts import Attempt
from jobs.models import Job

PARAMETERS = Parameters(n=2, temperature=0.8, top_p=1.0, top_k=0, max_tokens=64)


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def job(project, policy, add_prompts):
    return create_sampling_job(project, [policy], add_prompts("One?", "Two?", "Three?"), parameters=PARAMETERS, seed=5)


def answer_one(job, policy, position=0, **refused):
    number = Job.objects.values_list("attempt", flat=True).get(pk=job.pk) or Job.objects.claim(job.pk)
    attempt = Attempt(job.pk, number)
    item = job.items.select_related("prompt").get(position=position)
    found = [Answer(0, "It *rains*.", [1, 2, 3], -1.0, "stop"), Answer(1, "It", [1], -1.0, "length")]
    store(attempt, item, policy, Sampled(item.pk, [1], [] if refused else found, **refused))
    attempt.beat(progress=position + 1)
    return attempt


def text_of(page, job, target="", query=""):
    headers = {"HX-Request": "true", "HX-Target": target} if target else {}
    return page.get(job.get_absolute_url() + query, headers=headers).content.decode()


def test_it_shows_answers_as_they_land(page, job, policy):
    answer_one(job, policy)
    text = text_of(page, job)
    assert "One?" in text
    assert "<em>rains</em>" in text
    assert "3 tokens, ended by itself" in text
    assert "cut off by its limit" in text
    assert text.count("Not answered yet.") == 2


def test_it_gives_the_reason_of_a_refusal(page, job, policy):
    answer_one(job, policy, refusal="It is too long.")
    assert "The model server refused this prompt: It is too long." in text_of(page, job)


def test_it_shows_what_was_asked_for(page, job):
    text = text_of(page, job)
    assert "<dt>Temperature</dt><dd>0.8</dd>" in text
    assert "<dt>Longest answer</dt><dd>64 tokens</dd>" in text
    assert "<dt>Seed</dt><dd>5</dd>" in text


def test_what_a_model_wrote_cannot_run(page, job, policy):
    attempt = Attempt(job.pk, Job.objects.claim(job.pk))
    item = job.items.select_related("prompt").get(position=0)
    found = [Answer(i, "<script>alert(1)</script>", [1], -1.0, "stop") for i in range(2)]
    store(attempt, item, policy, Sampled(item.pk, [1], found))
    assert "<script>alert" not in text_of(page, job)


def test_the_state_polls_while_active_and_stops_when_it_ended(page, job, policy):
    attempt = answer_one(job, policy)
    attempt.beat(message="1 of 3 prompts answered")
    text = text_of(page, job, "state")
    assert 'hx-trigger="every 2s"' in text
    assert "1 of 3 prompts answered" in text
    assert "<title>" not in text
    attempt.finish(Job.Status.FAILED, error="The disk is full. Make room, then resume.")
    text = text_of(page, job, "state")
    assert "hx-trigger" not in text
    assert "The disk is full. Make room, then resume." in text
    assert "Resume job" in text


def test_nothing_new_leaves_the_answers_as_they_are(page, job, policy):
    answer_one(job, policy)
    headers = {"HX-Request": "true", "HX-Target": "answers"}
    assert page.get(job.get_absolute_url() + "?seen=1", headers=headers).status_code == 204
    assert "It" in text_of(page, job, "answers", "?seen=0")
    Job.objects.filter(pk=job.pk).update(status=Job.Status.SUCCEEDED)
    text = text_of(page, job, "answers", "?seen=1")
    assert "hx-trigger" not in text


def test_cancel_and_resume(page, job, policy):
    address = job.get_absolute_url()
    assert page.post(f"{address}cancel/").url == address
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    assert "Resume job" in text_of(page, job)
    assert page.post(f"{address}resume/").url == address
    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED


def test_cancelling_a_running_job_asks_its_runner(page, job, policy):
    answer_one(job, policy)
    page.post(f"{job.get_absolute_url()}cancel/")
    job.refresh_from_db()
    assert job.cancel_requested
    text = text_of(page, job, "state")
    assert "Stopping" in text
    assert "Cancel job" not in text


def test_answers_of_two_policies_name_them(page, project, policy, add_prompts):
    from generation.models import Policy

    other = Policy.objects.create(name="Other", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64)
    job = create_sampling_job(
        project, [policy, other], add_prompts("One?", "Two?"), parameters=PARAMETERS, purpose="compare"
    )
    text = text_of(page, job)
    assert [item.prompt.text for item in page.get(job.get_absolute_url()).context["page"]] == [
        "One?",
        "One?",
        "Two?",
        "Two?",
    ]
    assert text.count("Answered by Other.") == 2


def test_queries(page, job, policy, django_assert_num_queries):
    for position in range(3):
        answer_one(job, policy, position)
    # 1 session, 2 person, 3 project, 4 membership, 5 job; items: 6 count, 7 page, 8 their completions; 9 refused ones;
    # 10 policies
    with django_assert_num_queries(10):
        page.get(job.get_absolute_url())


def test_a_number_that_no_row_can_have(page):
    assert page.get(f"/p/plain/sampling/{'9' * 30}/").status_code == 404
