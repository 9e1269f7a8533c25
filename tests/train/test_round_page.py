import pytest
from django.db.models.functions import Now

from generation.engine import Answer, Parameters, Sampled
from generation.models import Policy
from generation.sampling import create_sampling_job, store
from jobs.attempts import Attempt
from jobs.models import Job
from tests.train.conftest import step_line
from train.datasets import freeze
from train.models import Round
from train.recipes import RoundSettings
from train.rounds import launch_round

ADDRESS = "/p/plain/rounds/1/"


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def running(launched):
    freeze(launched.dataset)
    launched.attempt = Job.objects.claim(launched.pk)
    return launched


@pytest.fixture
def finished(running, project, policy, judged):
    """A round that has made a policy, with the held-out prompt still to be answered before and after."""
    made = Policy.objects.create(
        name="Plain answers, round 1",
        path="x",
        fingerprint="a" * 64,
        tokenizer_fingerprint="t" * 64,
        project=project,
        base=policy,
        parent=policy,
        lora_rank=16,
    )
    parameters = Parameters(n=1, temperature=0.0, top_p=1.0, top_k=0, max_tokens=64)
    compare = create_sampling_job(
        project, [policy, made], judged[-1:], parameters=parameters, seed=0, purpose="compare"
    )
    Round.objects.filter(pk=running.pk).update(
        policy=made, before_and_after=compare, summary={"device": "CPU (x86_64)", "eval_metrics": {}}
    )
    Job.objects.filter(pk=running.pk).update(status=Job.Status.SUCCEEDED, finished_at=Now())
    running.refresh_from_db()
    return running


def text_of(page, target="", query=""):
    headers = {"HX-Request": "true", "HX-Target": target} if target else {}
    return page.get(ADDRESS + query, headers=headers).content.decode()


def answer(job, policy, text, tokens):
    number = Job.objects.values_list("attempt", flat=True).get(pk=job.pk) or Job.objects.claim(job.pk)
    item = job.items.select_related("prompt").get(policy=policy)
    found = [Answer(0, text, list(range(tokens)), -1.0, "stop")]
    store(Attempt(job.pk, number), item, policy, Sampled(item.pk, [1], found))


def test_it_shows_a_running_round(page, running, add_metrics):
    add_metrics(running, step_line(1), step_line(2))
    text = text_of(page)
    assert "Step 2 of 10." in text
    assert '<progress value="2" max="10"' in text
    assert "Loss is still near" in text or "Loss fell to" in text
    assert "step 2/10 loss 0.6731" in text
    assert "<dt>Beta (β)</dt><dd>0.1</dd>" in text
    assert "<dt>Learning rate</dt><dd>2e-4</dd>" in text
    assert "<dt>Speed</dt><dd>1,630 tokens/s</dd>" in text
    assert "Cancel round" in text
    assert "All that was judged." in text  # the rule of its dataset


def test_it_shows_what_a_round_waits_for(page, running):
    Job.objects.filter(pk=running.pk).update(message="Waiting for the device local: sampling job 3 has it.")
    text = text_of(page, "live")
    assert "Waiting for the device local: sampling job 3 has it." in text
    assert "The curves begin with the first step." in text


def test_it_polls_while_active_and_stops_when_it_ended(page, running):
    assert 'hx-trigger="every 2s"' in text_of(page, "live")
    Job.objects.filter(pk=running.pk).update(status=Job.Status.FAILED, error="The disk is full. Make room.")
    text = text_of(page, "live")
    assert "hx-trigger" not in text
    assert "The disk is full. Make room." in text
    assert "Resume round" in text
    assert "<title>" not in text


def test_cancel_and_resume(page, launched):
    assert page.post(f"{ADDRESS}cancel/").url == ADDRESS
    launched.refresh_from_db()
    assert launched.status == Job.Status.CANCELLED
    assert page.post(f"{ADDRESS}resume/").url == ADDRESS
    launched.refresh_from_db()
    assert launched.status == Job.Status.QUEUED


def test_a_round_that_is_being_cancelled_says_so(page, running):
    page.post(f"{ADDRESS}cancel/")
    text = text_of(page, "live")
    assert "Stopping" in text
    assert "Training stops within 10 seconds." in text
    assert "Cancel round" not in text


def test_it_shows_the_policy_it_made(page, finished):
    text = text_of(page)
    assert "It made the policy “Plain answers, round 1”." in text
    assert f"/p/plain/sampling/?policy={finished.policy_id}" in text
    assert "<dt>On</dt><dd>CPU (x86_64)</dd>" in text


def test_before_and_after_fill_while_they_are_sampled(page, finished, policy):
    text = text_of(page)
    assert "Four?" in text
    assert text.count("Not answered yet.") == 2
    job = finished.before_and_after
    answer(job, policy, "An old answer.", 10)
    text = text_of(page, "compare")
    assert 'hx-trigger="every 2s"' in text
    assert "An old answer." in text
    assert "<h1>" not in text
    answer(job, finished.policy, "A new answer.", 14)
    Job.objects.filter(pk=job.pk).update(status=Job.Status.SUCCEEDED)
    text = text_of(page, "compare")
    assert text.index("An old answer.") < text.index("A new answer.")
    assert "Over the 1 prompt that both have answered, an answer has 14 tokens on average; before it had 10." in text
    assert "hx-trigger" not in text


def test_nothing_new_leaves_the_answers_as_they_are(page, finished, policy):
    answer(finished.before_and_after, policy, "An old answer.", 10)
    headers = {"HX-Request": "true", "HX-Target": "compare"}
    assert page.get(f"{ADDRESS}?seen=1", headers=headers).status_code == 204
    assert page.get(f"{ADDRESS}?seen=0", headers=headers).status_code == 200


def test_queries(page, finished, policy, add_metrics, django_assert_num_queries):
    add_metrics(finished, *(step_line(step) for step in range(1, 11)))
    answer(finished.before_and_after, policy, "An old answer.", 10)
    # 1 session, 2 person, 3 project, 4 membership, 5 round; before and after: 6 count, 7 page, 8 items,
    # 9 their completions, 10 lengths; metrics: 11 last lines, 12 first step, 13 count, 14 curves, 15 earlier rounds;
    # blind A/B: 16 the newest, 17 held-out prompts, 18 policies, 19 the last sampling
    with django_assert_num_queries(19):
        page.get(ADDRESS)


@pytest.fixture
def second(finished, project, policy, judge, sampled, add_prompts, alice, add_metrics):
    """A second round at its second step, after one of ten steps that has ended."""
    add_metrics(finished, *(step_line(step) for step in range(1, 11)))
    judge(*sampled({prompt: ["better", "worse"] for prompt in add_prompts("Five?")}))
    round = launch_round(project, policy, RoundSettings(), user=alice)
    freeze(round.dataset)
    round.attempt = Job.objects.claim(round.pk)
    add_metrics(round, *(step_line(step, loss=0.5) for step in (1, 2)))
    return round


def test_an_earlier_round_lies_behind_the_curves(page, second):
    html = page.get(second.get_absolute_url()).content.decode()
    assert html.count('class="old"') == 10  # two of which are of rejected answers
    assert "Dotted: round 1." in html
    alone = page.get(f"{second.get_absolute_url()}?against=none").content.decode()
    assert 'class="old"' not in alone
    assert 'href="?against=none" aria-current="true"' in alone
    assert page.get(f"{second.get_absolute_url()}?against=nonsense").status_code == 200


def test_the_live_part_goes_on_with_what_was_chosen(page, second):
    html = page.get(f"{second.get_absolute_url()}?against=1").content.decode()
    assert f'hx-get="{second.get_absolute_url()}?against=1"' in html


def test_the_first_round_has_nothing_to_compare_with(page, running, add_metrics):
    add_metrics(running, step_line(1))
    assert "Compare with" not in text_of(page)
