"""A whole site, made through the product's own entrances: each page has something to show."""

import itertools
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from annotate import practice
from annotate.gold import add
from annotate.judging import Choice, Kind, best_of, record, tie
from annotate.masks import mask
from annotate.models import Comparison, Revision, Seat
from annotate.queue import lease_to
from annotate.review import exclude, settle
from annotate.review_forms import BEGINNING
from generation.engine import Answer, Parameters, Sampled
from generation.models import Policy
from generation.sampling import create_sampling_job, store
from jobs.attempts import Attempt, run_job
from jobs.models import Job
from projects.access import add_member
from projects.invitations import invite
from projects.models import Membership, Project, Prompt
from projects.prompts import import_prompts, run_import
from tests import samples
from tests.train.conftest import step_line
from train.contests import start_contest
from train.datasets import freeze
from train.models import Round, RoundMetric
from train.recipes import RoundSettings
from train.rounds import launch_round

PARAMETERS = Parameters(n=8, temperature=0.9, top_p=1.0, top_k=0, max_tokens=256)
LONG_NAME = "maximiliane-theodora.von-und-zu-hohenstein-weissenfels@department.example.org"
keys = itertools.count()


def person(name: str, **about: Any) -> User:
    return User.objects.create_user(name, password="correct horse battery", **about)


def make_project(slug: str, name: str, admin: User, annotators: list[User], **settings: Any) -> Project:
    project = Project.objects.create(slug=slug, name=name, **settings)
    add_member(project, admin, Membership.Role.ADMIN)
    for annotator in annotators:
        add_member(project, annotator, Membership.Role.ANNOTATOR)
    project.guideline_versions.create(version=1, text=samples.GUIDELINES)
    return project


def add_prompts(project: Project, *prompts: str | list[dict[str, str]]) -> list[Prompt]:
    """Import prompts, texts or whole conversations, and return them in this order; all are to train on."""
    known = set(project.prompts.values_list("pk", flat=True))
    lines = [{"prompt": one} if isinstance(one, str) else {"messages": one} for one in prompts]
    job = import_prompts(project, "prompts.jsonl", ["\n".join(map(json.dumps, lines)).encode()])
    run_job(job.pk, run_import)
    Prompt.objects.filter(project=project).update(side=Prompt.Side.TRAIN)
    return list(project.prompts.exclude(pk__in=known).order_by("pk"))


def sample(project: Project, policy: Policy, *pairs: tuple[Any, list[str]]) -> list[Comparison]:
    """Import the prompts, store the answers to them as a sampling job does, and return the comparisons, in order."""
    prompts = add_prompts(project, *(prompt for prompt, _ in pairs))
    job = create_sampling_job(project, [policy], prompts, parameters=PARAMETERS, seed=1)
    attempt = Attempt(job.pk, Job.objects.claim(job.pk))
    answers = dict(zip(prompts, (texts for _, texts in pairs), strict=True))
    for item in job.items.select_related("prompt"):
        texts = answers[item.prompt]
        found = [Answer(i, text, [5, 6, 7 + i], -3.0 - i, "stop") for i, text in enumerate(texts)]
        store(attempt, item, policy, Sampled(item.pk, [1, 2, 3], found))
    attempt.beat(progress=len(pairs))
    attempt.finish(Job.Status.SUCCEEDED)
    return list(Comparison.objects.filter(item__job=job).order_by("item__prompt"))


def begun(project: Project, *people: User) -> None:
    """These people have read the guidelines."""
    for one in people:
        Seat.objects.create(person=one, project=project, guidelines_read=1, warning_agreed=project.content_warning)


def say(who: User, comparison: Comparison, choice: Choice, *, turned: bool = False, seconds: float = 21.4) -> Revision:
    shown = list(range(comparison.slots))
    lease_to(who, comparison)
    key = f"site-{next(keys)}"
    return record(who, comparison, choice, shown=shown[::-1] if turned else shown, client_key=key, seconds=seconds)


def judge_many(people: list[User], comparisons: list[Comparison]) -> None:
    """People judge comparisons of two, mostly alike, some ties, some against each other; always the same way."""
    for number, comparison in enumerate(comparisons):
        for at, who in enumerate(people):
            mood = (number * 7 + at * 5) % 13
            choice = tie(2) if mood == 0 else best_of(0 if mood in (3, 8) or number % 5 == 0 else 1, 2)
            say(who, comparison, choice, turned=(number + at) % 2 == 1, seconds=9 + mood * 2.5)


def spread_over_weeks(project: Project) -> None:
    """As if the judgements had been made one after the other in the last four weeks."""
    revisions = list(Revision.objects.filter(judgement__comparison__project=project).order_by("pk"))
    for number, revision in enumerate(revisions):
        when = timezone.now() - timedelta(days=1 + 27 * (1 - number / len(revisions)))
        Revision.objects.filter(pk=revision.pk).update(submitted_at=when, opened_at=when - timedelta(seconds=30))


@dataclass
class Site:
    """The people and what the addresses need. Projects are known by their slugs."""

    olga: User  # the operator
    alice: User  # the admin of all projects
    bob: User  # has still to judge everywhere but in "done"
    dora: User  # has judged all of "full"
    numbers: dict[str, Any] = field(default_factory=dict)  # what stands in addresses


def fill() -> Site:
    olga, alice = person("olga", is_staff=True), person("alice")
    bob, dora = person("bob"), person("dora", first_name="Dora", last_name="Maar")
    long = person(LONG_NAME)
    policy = Policy.objects.create(
        name="Tiny base", path="models/tiny", fingerprint="f" * 64, tokenizer_fingerprint="t" * 64
    )
    site = Site(olga, alice, bob, dora)
    _judge_projects(alice, bob, policy)
    _full_project(site, long, policy)
    _practised_project(site, policy)
    _compared_project(site, policy)
    return site


def _judge_projects(alice: User, bob: User, policy: Policy) -> None:
    """A project for each way of judging, with the one comparison that is to be seen in it."""
    asks = {"asks_strength": True, "asks_quality": True, "asks_reason": True, "edits": True}
    ways = {
        "two": (samples.SOURDOUGH, samples.SOURDOUGH_ANSWERS[:2], {}),
        "asks": (samples.MEETING, samples.MEETING_ANSWERS, asks),
        "hard": (samples.HARD, samples.HARD_ANSWERS, {}),
        "arabic": (samples.ARABIC, samples.ARABIC_ANSWERS, asks),
        "three": (samples.MEDIAN, samples.MEDIAN_ANSWERS[:3], {}),
        "four": (samples.MEDIAN, samples.MEDIAN_ANSWERS, {"asks_quality": True}),
        "five": (samples.EIGHT, samples.EIGHT_ANSWERS[:5], {"asks_quality": True}),
        "eight": (samples.EIGHT, samples.EIGHT_ANSWERS, {"asks_reason": True}),
        "rank": (samples.LEAVES, samples.LEAVES_ANSWERS, {"mode": "rank", "asks_quality": True}),
        "rank-eight": (samples.EIGHT, samples.EIGHT_ANSWERS, {"mode": "rank", "asks_reason": True}),
    }
    for slug, (prompt, answers, settings) in ways.items():
        project = make_project(
            slug, f"Answers, {slug}", alice, [bob], answers_per_comparison=len(answers), overlap=3, **settings
        )
        sample(project, policy, (prompt, answers))
        begun(project, bob)
    warning = "Some prompts ask about illness and death.\nNo pictures are shown."
    make_project("warned", "Answers to hard questions", alice, [bob], content_warning=warning)
    project = make_project("nothing-yet", "Answers to come", alice, [bob])
    begun(project, bob)
    done = make_project("done", "Answers that are all judged", alice, [bob])
    begun(done, bob)
    (only,) = sample(done, policy, (samples.MEETING, samples.MEETING_ANSWERS))
    say(bob, only, Choice(Kind.SKIPPED))


def _practised_project(site: Site, policy: Policy) -> None:
    """A project with one comparison to practise on. Dora has, and said something else than the admin; Bob has not."""
    project = make_project("practised", "Answers to practise on", site.alice, [site.bob, site.dora], practice_count=5)
    begun(project, site.bob, site.dora)
    (one,) = sample(project, policy, (samples.MEETING, samples.MEETING_ANSWERS))
    settle(one, best_of(0, 2), site.alice, [0, 1])
    (copy,) = add([one], "practice", site.alice, "It answers the question, and in one line.")
    practice.say(site.dora, copy, best_of(1, 2), [0, 1])
    site.numbers["practised_masked"] = mask(copy.pk)


def _compared_project(site: Site, policy: Policy) -> None:
    """A project with a blind A/B that has ended, with more wins than losses, and one that is under way."""
    project = make_project("compared", "Answers of two policies", site.alice, [site.bob])
    add_prompts(project, *(prompt for prompt, _ in samples.EXPLAIN[:40]))
    project.prompts.update(side=Prompt.Side.HELD_OUT)
    made = Policy.objects.create(
        name="Answers of two policies, round 1", fingerprint="c" * 64, project=project, parent=policy
    )
    contests = []
    for number in range(2):
        about = {"size": 60, "percent": 30, "parameters": PARAMETERS, "user": site.alice, "seed": number}
        contest = start_contest(project, made, policy, **about)
        attempt = Attempt(contest.sampling_id, Job.objects.claim(contest.sampling_id))
        for item in contest.sampling.items.select_related("prompt", "policy"):
            words = ["In a word.", "Yes. " * (1 + item.pk % 7)]
            texts = [f"{item.policy}: {item.prompt.text} {words[(i + item.pk) % 2]}" for i in range(contest.sampling.n)]
            found = [Answer(i, text, [5, 6, 7 + i], -3.0 - i, "stop") for i, text in enumerate(texts)]
            store(attempt, item, item.policy, Sampled(item.pk, [1, 2, 3], found))
        attempt.finish(Job.Status.SUCCEEDED)
        contests.append(contest)
    for number, pairing in enumerate(contests[0].pairings.exclude(comparison=None)):
        wins = pairing.comparison.answers.get(completion=pairing.first_answer).number
        say(site.bob, pairing.comparison, tie(2) if number % 6 == 0 else best_of(wins if number % 3 else 1 - wins, 2))
    site.numbers["contest"], site.numbers["under_way"] = (contest.pk for contest in contests)


def _full_project(site: Site, long: User, policy: Policy) -> None:
    """A project that has been round the loop: judged by four, settled, trained, with links, flags and exclusions."""
    ella = person("ella")
    name = "Answers that people would rather have been given by a careful assistant"
    project = make_project(
        "full", name, site.alice, [site.bob, site.dora, long, ella], overlap=3, asks_reason=True, edits=True
    )
    project.description = "Kitchen, garden and a little code: short answers that are right."
    project.save()
    begun(project, site.dora, site.bob)
    first = sample(
        project,
        policy,
        (samples.HARD, samples.HARD_ANSWERS),
        (samples.LEAP_YEARS, samples.LEAP_YEARS_ANSWERS),
        (samples.ARABIC, samples.ARABIC_ANSWERS),
        *samples.EXPLAIN,
    )
    judge_many([site.dora, long, ella], first[3:])
    spread_over_weeks(project)
    reason = f"The first is right. The second says “yes” twice and {samples.LONG_WORD}."
    opposed, flagged = first[1], first[2]
    say(site.dora, opposed, best_of(0, 2, reason=reason))
    say(long, opposed, best_of(1, 2, reason="Shorter."))
    say(site.dora, first[0], best_of(1, 2))
    say(site.dora, flagged, Choice(Kind.FLAGGED, flags=tuple(project.flag_reasons[:2]), reason=reason))
    settle(opposed, best_of(0, 2), site.alice, [0, 1])
    exclude(project, ella, BEGINNING, site.alice)
    round = _finished_round(project, policy, site.alice)
    _not_done(project, policy)
    link = invite(project, site.alice, role="annotator", days=7, most_uses=None)
    membership = Membership.objects.get(project=project, user=site.dora)
    site.numbers = {
        "comparison": opposed.pk,
        "comparison_masked": mask(opposed.pk),
        "flagged_masked": mask(flagged.pk),
        "hard": first[0].pk,
        "job": project.sampling_jobs.order_by("pk").first().pk,
        "person": membership.user_id,
        "token": link.get_absolute_url().split("/")[2],
        "round": round.number,
    }


def _finished_round(project: Project, policy: Policy, admin: User) -> Round:
    """A round with curves, the policy it made, and held-out answers before and after."""
    held_out = project.prompts.order_by("-pk")[:2]
    Prompt.objects.filter(pk__in=[prompt.pk for prompt in held_out]).update(side=Prompt.Side.HELD_OUT)
    round = launch_round(project, policy, RoundSettings(), user=admin)
    freeze(round.dataset)
    attempt = Job.objects.claim(round.pk)
    RoundMetric.objects.bulk_create(
        RoundMetric(round=round, attempt=attempt, line=step, values=step_line(step, 40)) for step in range(1, 41)
    )
    made = Policy.objects.create(
        name=f"{project}, round 1",
        path="x",
        fingerprint="a" * 64,
        tokenizer_fingerprint="t" * 64,
        project=project,
        base=policy,
        parent=policy,
        lora_rank=16,
    )
    greedy = Parameters(n=1, temperature=0.0, top_p=1.0, top_k=0, max_tokens=64)
    compare = create_sampling_job(project, [policy, made], list(held_out), parameters=greedy, seed=0, purpose="compare")
    sampling = Attempt(compare.pk, Job.objects.claim(compare.pk))
    for item in compare.items.select_related("prompt", "policy"):
        found = [Answer(0, samples.HARD_ANSWERS[item.policy == made], list(range(90)), -1.0, "stop")]
        store(sampling, item, item.policy, Sampled(item.pk, [1], found))
    sampling.finish(Job.Status.SUCCEEDED)
    summary = {"device": "CPU (x86_64)", "eval_metrics": {}}
    Round.objects.filter(pk=round.pk).update(policy=made, before_and_after=compare, summary=summary)
    Job.objects.filter(pk=round.pk).update(status=Job.Status.SUCCEEDED, finished_at=Now())
    return round


def _not_done(project: Project, policy: Policy) -> None:
    """An import and a sampling job that wait, and a round that failed, and say why."""
    import_prompts(project, f"{samples.LONG_WORD}.jsonl", [b'{"prompt": "One?"}'])
    waiting = create_sampling_job(project, [policy], list(project.prompts.all()[:2]), parameters=PARAMETERS, seed=2)
    Job.objects.filter(pk=waiting.pk).update(message="Waiting for the device local: round 2 has it.")
    second = launch_round(project, policy, RoundSettings())
    Job.objects.filter(pk=second.pk).update(status=Job.Status.FAILED, error="The disk is full. Make room, then resume.")
