"""A project's home: the loop in figures, what hinders it, and its jobs."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from annotate.judging import Choice, best_of, record
from annotate.models import Revision
from annotate.queue import next_lease
from generation.models import Policy
from jobs.attempts import announce
from jobs.models import Device, Job
from projects.models import Prompt
from projects.prompts import import_prompts, lines_to_jsonl
from train.datasets import freeze
from train.models import Round
from train.recipes import RoundSettings
from train.rounds import launch_round
from web.home import active_jobs, alerts, loop_of

URL = "/p/plain/"


@pytest.fixture
def device(db):
    return Device.objects.create(name="cpu", kind="cpu", heartbeat=Now())


@pytest.fixture
def judged(project, bob, add_prompts, sampled):
    """Four prompts with two answers each; bob has preferred one of them twice and called one pair bad."""
    prompts = add_prompts("One?", "Two?", "Three?", "Four?", "Not sampled?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    Prompt.objects.filter(pk=prompts[4].pk).update(side=Prompt.Side.HELD_OUT)
    sampled({prompt: ["yes", "no"] for prompt in prompts[:4]})
    for number, choice in enumerate((best_of(0, 2), best_of(1, 2), Choice(Revision.Kind.BOTH_BAD))):
        lease = next_lease(bob, project)
        record(bob, lease.comparison, choice, shown=lease.shown, client_key=str(number))
    return prompts


def finished_round(project, policy) -> Round:
    round = launch_round(project, policy, RoundSettings())
    freeze(round.dataset)
    made = Policy.objects.create(
        name="Plain answers, round 1", project=project, path="r1", fingerprint="1" * 64, tokenizer_fingerprint="t" * 64
    )
    Round.objects.filter(pk=round.pk).update(policy=made, status=Job.Status.SUCCEEDED, finished_at=Now())
    return round


def waiting_import(project, minutes):
    job = import_prompts(project, "more.jsonl", [lines_to_jsonl("What?").encode()])
    old = Now() - timedelta(minutes=minutes)
    Job.objects.filter(pk=job.pk).update(created_at=old, announced_at=old)
    return job


def test_it_works(client, alice, judged, device):
    client.force_login(alice)
    page = client.get(URL)
    assert page.context["step"].title == "1 comparison to judge"
    loop = page.context["loop"]
    assert (loop.prompts, loop.held_out, loop.unsampled, loop.answers) == (5, 1, 1, 8)
    assert (loop.judgements, loop.judged_lately, loop.people_lately, loop.all_bad) == (3, 3, 1, 1)
    assert (loop.open_comparisons, loop.to_judge, loop.pairs, loop.new_pairs) == (1, 1, 2, 2)
    assert (loop.rounds, loop.next_number, loop.policy_name) == (0, 1, "Tiny base")
    assert "<strong>1</strong> not sampled yet" in page.text
    assert "3 in 24 hours, 1 person" in page.text
    assert page.text.count('class="button primary"') == 1
    assert "hx-trigger" not in page.text


def test_an_empty_project_begins_with_prompts(client, olga, project, device):
    client.force_login(olga)
    page = client.get(URL)
    assert "Start with prompts" in page.text
    assert "No round has been trained yet." in page.text
    assert "Nothing is running." in page.text


def test_what_was_taken_back_or_held_out_does_not_count(project, bob, alice, judged):
    last = Revision.objects.filter(kind=Revision.Kind.RANKED).latest("pk")
    record(bob, last.judgement.comparison, Choice(Revision.Kind.WITHDRAWN), shown=last.shown, client_key="back")
    assert loop_of(project, alice).pairs == 1
    assert loop_of(project, alice).judgements == 2
    Prompt.objects.update(side=Prompt.Side.HELD_OUT)
    assert loop_of(project, alice).pairs == 0


def test_a_rounds_policy_comes_into_use_and_its_pairs_are_no_longer_new(project, alice, policy, judged):
    finished_round(project, policy)
    loop = loop_of(project, alice)
    assert (loop.rounds, loop.next_number, loop.policy_name) == (1, 2, "Round 1")
    assert (loop.pairs, loop.new_pairs) == (2, 0)


@pytest.mark.parametrize("status", [Job.Status.FAILED, Job.Status.CANCELLED])
def test_a_round_that_came_to_nothing_leaves_its_pairs_new(project, alice, policy, judged, status):
    launch_round(project, policy, RoundSettings())
    Round.objects.update(status=status)
    loop = loop_of(project, alice)
    assert (loop.rounds, loop.new_pairs, loop.policy_name) == (0, 2, "Tiny base")


def test_jobs_of_this_project_are_listed_and_watched(client, alice, project, policy, judged, device):
    round = launch_round(project, policy, RoundSettings())
    job = waiting_import(project, minutes=0)
    client.force_login(alice)
    page = client.get(URL)
    assert [(type(job), job.pk) for job in page.context["loop"].jobs] == [(Round, round.pk), (type(job), job.pk)]
    assert 'hx-trigger="every 2s"' in page.text
    assert "Import of more.jsonl" in page.text


def test_jobs_of_other_projects_and_ended_ones_are_not(project, judged):
    assert active_jobs(project) == []


def test_the_fragment_is_the_loop_alone(client, alice, project):
    client.force_login(alice)
    page = client.get(URL, headers={"HX-Request": "true", "HX-Target": "loop"})
    assert page.text.lstrip().startswith('<div id="loop"')
    assert "<html" not in page.text


def test_a_missing_device_process_is_said(client, alice, project):
    client.force_login(alice)
    page = client.get(URL)
    assert "No device process is running." in page.text
    assert "manage.py run_device" in page.text
    Device.objects.create(name="cpu", kind="cpu", heartbeat=Now() - timedelta(minutes=5))
    assert "The device process has stopped answering." in client.get(URL).text


def test_nothing_is_said_when_all_answer(project, device):
    waiting_import(project, minutes=0)
    assert alerts(active_jobs(project)) == []


def test_a_job_that_nobody_picks_up_is_said(project, device):
    waiting_import(project, minutes=2)
    (alert,) = alerts(active_jobs(project))
    assert alert.title == "Nobody picks up import of more.jsonl."
    assert "no worker takes jobs from the light queue" in alert.text
    assert "-Q light" in alert.command


def test_a_job_behind_a_running_one_only_waits(project, device):
    waiting_import(project, minutes=2)
    running = waiting_import(project, minutes=3)
    Job.objects.claim(running.pk)
    assert alerts(active_jobs(project)) == []


def test_a_job_that_was_just_resumed_only_waits(project, device):
    announce(waiting_import(project, minutes=90))
    assert alerts(active_jobs(project)) == []


def test_one_missing_worker_is_said_once(project, device):
    waiting_import(project, minutes=2)
    waiting_import(project, minutes=3)
    assert len(alerts(active_jobs(project))) == 1


def test_its_queries_do_not_grow(client, alice, project, policy, judged, device, django_assert_num_queries):
    for _ in range(2):
        finished = finished_round(project, policy)
        Policy.objects.filter(fingerprint="1" * 64).update(fingerprint=f"{finished.pk:064d}")
        waiting_import(project, minutes=0)
    client.force_login(alice)
    # Session, person, project, membership (is she an admin?);
    # last round, last sampling job, last good round with its policy, prompts, sampling items, judgements,
    # rounds, pairs, open comparisons, those open to her, active jobs;
    # devices, running jobs' queues with the unheard; the newest rounds.
    with django_assert_num_queries(19):
        client.get(URL)


def test_an_annotator_is_sent_to_judge(client, bob, project):
    client.force_login(bob)
    assert client.get(URL).headers["Location"] == "/p/plain/judge/"


def test_it_requires_sign_in(client, project):
    assert client.get(URL).headers["Location"] == "/sign-in/?next=/p/plain/"


def test_it_hides_from_strangers(client, charlie, project):
    client.force_login(charlie)
    assert client.get(URL).status_code == 404


def test_it_requires_get(client, alice, project):
    client.force_login(alice)
    assert client.post(URL).status_code == 405
