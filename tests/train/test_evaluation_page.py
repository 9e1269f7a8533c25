"""The project's page of blind A/Bs and of the ranking, the page of one, and its part on a round's page."""

import html
import itertools
import re

import pytest
from django.urls import reverse

from annotate.judging import best_of, record, tie
from annotate.queue import next_lease
from jobs.models import Job
from projects.models import Project
from train.contest_forms import ContestForm
from train.contests import stop_contest
from train.models import Contest, Round

ADDRESS = "/p/plain/evaluation/"
keys = itertools.count()


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def filled(held_out, policy, rival):
    held_out(12)
    return {
        "first": rival.pk,
        "second": policy.pk,
        "size": "12",
        "percent": "30",
        "temperature": "1",
        "max_tokens": "64",
        "top_p": "1",
        "top_k": "0",
        "seed": "3",
    }


def text_of(client, address: str = ADDRESS, **about) -> str:
    """The page as it is read: without tags, blanks folded."""
    return words(client.get(address, **about))


def words(response) -> str:
    assert response.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def judge_all(person, project, *outcomes: str) -> None:
    """Judge what the queue gives: the rival's answer, which names it, wins, loses or ties."""
    for outcome in outcomes:
        lease = next_lease(person, project)
        rivals = lease.comparison.answers.get(completion__policy__parent__isnull=False).number
        choice = {"win": best_of(rivals, 2), "loss": best_of(1 - rivals, 2), "tie": tie(2)}[outcome]
        record(person, lease.comparison, choice, shown=lease.shown, client_key=f"key {next(keys)}")


def test_it_starts_one(page, project, policy, rival, filled):
    response = page.post(ADDRESS, filled)
    contest = Contest.objects.get()
    assert response.url == contest.get_absolute_url()
    assert (contest.first, contest.second, contest.size, contest.percent) == (rival, policy, 12, 30)
    assert (contest.seed, contest.sampling.max_tokens, contest.created_by.username) == (3, 64, "alice")
    assert Project.objects.get().evaluation_percent == 30


def test_it_proposes_the_newest_policy_against_its_parent(page, policy, rival, filled):
    initial = page.get(ADDRESS).context["form"].initial
    assert (initial["first"], initial["second"], initial["percent"]) == (rival, policy.pk, 20)


@pytest.mark.parametrize(("prompts", "size"), [(200, 176), (40, 102), (12, 12)])
def test_it_proposes_a_size_for_the_prompts_there_are(project, held_out, prompts, size):
    """That for 60%, or else for 65%, of at most three comparisons a prompt; where that is too few, all prompts once."""
    held_out(prompts)
    assert ContestForm(project).initial["size"] == size


def test_it_shows_the_power_table_of_its_prompts(page, filled):
    text = text_of(page)
    assert "Comparisons that show a true win rate of … Win rate 80% sure 90% sure 55% too many too many" in text
    assert "with 12 held-out prompts, 10% ties and a correlation of 0.2" in text


def test_without_a_second_policy_it_leads_to_rounds(page, policy, held_out):
    held_out(12)
    text = text_of(page)
    assert "A blind A/B is between two policies." in text
    assert "Start the blind A/B" not in text
    assert "None yet." in text


def test_without_held_out_prompts_it_leads_to_the_import(page, policy, rival, held_out):
    held_out(4)
    text = text_of(page)
    assert "A blind A/B needs 10 held-out prompts for an interval. There are 4 so far" in text
    assert "Start the blind A/B" not in text
    response = page.post(ADDRESS, {"first": rival.pk, "second": policy.pk, "size": 12})
    assert "needs 10 held-out prompts" in words(response)
    assert not Contest.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"second": "first"}, "got “Plain answers, round 1” twice. Choose another one."),
        ({"size": "9"}, "Give a whole number from 10 to 10,000,000."),
        ({"size": "769"}, "12 held-out prompts give at most 768 comparisons, 64 each (got 769)."),
        ({"temperature": "0", "size": "13"}, "12 held-out prompts give 12 comparisons at most (got 13)."),
        ({"percent": "0"}, "Give a whole number from 1 to 100."),
        ({"percent": "101"}, "Give a whole number from 1 to 100."),
        ({"max_tokens": "99999"}, "The model server reads at most"),
        ({"first": "99999"}, "This policy is not to be had here."),
    ],
)
def test_it_rejects(page, filled, wrong, sentence):
    values = filled | {name: filled.get(value, value) for name, value in wrong.items()}
    assert sentence in words(page.post(ADDRESS, values))
    assert not Contest.objects.exists()
    assert not Job.objects.active().exists()


def test_more_than_the_whole_queue_is_not_given(page, filled):
    page.post(ADDRESS, filled | {"percent": "70"})
    assert "have 70% of the queue already. Give at most 30%" in words(page.post(ADDRESS, filled | {"percent": "31"}))
    page.post(ADDRESS, filled)
    assert "have 100% of the queue already. Wait until one has ended" in words(
        page.post(ADDRESS, filled | {"percent": "1"})
    )
    assert Contest.objects.count() == 2


def test_where_more_than_two_answers_are_judged_it_says_what_shows(page, filled):
    assert "people may guess what they are for" not in text_of(page)
    Project.objects.update(answers_per_comparison=4)
    assert "These comparisons have two, so people may guess what they are for" in text_of(page)


def test_nothing_of_the_result_is_told_before_the_end(page, bob, project, filled, start, answered):
    contest = answered(start(size=12))
    judge_all(bob, project, *["win"] * 11)
    assert "11 of 12 decided 12 when all are in" in text_of(page)
    text = text_of(page, contest.get_absolute_url())
    assert "11 of 12 are decided" in text
    assert "better" not in text
    assert "It wins" not in text


def test_a_result(page, bob, project, filled, start, answered):
    contest = answered(start(size=12), lambda item, index: "Same" if item.position % 12 == 0 else str(item.policy))
    judge_all(bob, project, *["win"] * 10, "tie")
    text = text_of(page, contest.get_absolute_url())
    assert "Plain answers, round 1 better 10 Tie 2 Tiny base better 0" in text
    assert "Plain answers, round 1 is better. It wins 91.7% (95% interval " in text
    assert "12 comparisons of 12 chosen up front, by 1 person on 12 held-out prompts; 1 is a tie because both" in text
    assert "hx-trigger" not in page.get(contest.get_absolute_url()).content.decode()
    assert "Done 12 91.7% (" in text_of(page)


def test_it_polls_while_it_is_under_way(page, filled, start):
    contest = start(size=12)
    text = page.get(contest.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "contest"}).content.decode()
    assert 'hx-trigger="every 2s"' in text
    assert "<h1" not in text


def test_a_sampling_job_that_failed_is_said(page, filled, start):
    contest = start(size=12)
    Job.objects.update(status=Job.Status.FAILED)
    assert "Its sampling job has failed, with 0 of 12 pairs of answers." in text_of(page, contest.get_absolute_url())


def test_it_is_stopped(page, alice, bob, project, filled, start, answered):
    contest = answered(start(size=12))
    judge_all(bob, project, "win")
    response = page.post(reverse("stop_contest", args=["plain", contest.pk]))
    assert response.url == contest.get_absolute_url()
    text = text_of(page, response.url)
    assert "No result. This needs 10 prompts. There is 1 so far: 9 more." in text
    assert "Stopped by alice" in text
    assert next_lease(bob, project) is None


def test_policies_are_ranked(page, bob, project, policy, filled, start, answered):
    answered(start(size=12))
    assert "All policies" not in text_of(page)
    judge_all(bob, project, *["win"] * 8, *["loss"] * 4)
    text = text_of(page)
    assert "All policies Bradley–Terry model over 12 judgements" in text
    assert "Plain answers, round 1 66.7% (" in text
    assert "Tiny base 50%, itself" in text


def test_why_there_is_no_ranking_is_said(page, bob, project, filled, start, answered):
    answered(start(size=12))
    judge_all(bob, project, *["win"] * 12)
    assert "No ranking yet. Some policies won every comparison" in text_of(page)


def test_another_projects_is_not_found(page, filled, start):
    contest = start(size=12)
    other = Project.objects.create(name="Other", slug="other")
    Contest.objects.update(project=other)
    assert page.get(reverse("contest", args=["plain", contest.pk])).status_code == 404
    assert page.post(reverse("stop_contest", args=["plain", contest.pk])).status_code == 404


def test_queries(page, alice, bob, project, filled, start, answered, django_assert_num_queries):
    for _ in range(3):
        stop_contest(answered(start(size=12, percent=10)), alice)
    start(size=12, percent=10)
    # 1 session, 2 person, 3 project, 4 membership; the form: 5 held-out prompts, 6 policies, 7 the last sampling;
    # contests: 8 count, 9 page, 10 what people say, 11 pairings; the ranking: 12 whether one has ended, 13 those,
    # 14 what people say, 15 pairings; 16 to 18 the choices of policies
    with django_assert_num_queries(18):
        page.get(ADDRESS)


@pytest.fixture
def round(launched, rival) -> Round:
    Job.objects.filter(pk=launched.pk).update(status=Job.Status.SUCCEEDED)
    Round.objects.update(policy=rival)
    launched.refresh_from_db()
    return launched


def test_a_round_is_set_against_its_parent(page, round, filled):
    text = page.get(round.get_absolute_url()).content.decode()
    assert "is round 1 better than its parent?" in text
    hidden = dict(re.findall(r'<input type="hidden" name="(first|second)" value="(\d+)"', text))
    assert hidden == {"first": str(filled["first"]), "second": str(filled["second"])}
    assert f'action="{ADDRESS}"' in text
    assert "Comparisons that show a true win rate of" in text


def test_a_rounds_page_shows_how_its_blind_ab_stands(page, bob, project, round, filled, start, answered):
    contest = answered(start(size=12))
    assert "0 of 12 are decided" in text_of(page, round.get_absolute_url())
    judge_all(bob, project, *["win"] * 12)
    text = text_of(page, round.get_absolute_url())
    assert "Blind A/B: round 1 against its parent" in text
    assert "Plain answers, round 1 is better. It wins 100.0%" in text
    assert contest.get_absolute_url() in page.get(round.get_absolute_url()).content.decode()
