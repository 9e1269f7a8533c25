"""Every address as every role. A new address fails this test until it has its line in the table."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from annotate.gold import add
from annotate.judging import best_of, record
from annotate.queue import next_lease
from annotate.review import exclude, settle
from annotate.review_forms import BEGINNING
from generation.engine import Parameters
from generation.models import Policy, SamplingJob
from projects.invitations import invite
from projects.models import Membership, Prompt
from train.contests import start_contest
from train.datasets import freeze
from train.recipes import RoundSettings
from train.rounds import launch_round

ROLES = ("anonymous", "charlie", "bob", "alice", "olga")  # nobody, a stranger, an annotator, an admin, an operator
TO_SIGN_IN = "sent to sign in"
TO_JOIN = "sent to sign in and back to the link"
LET_IN = "let in"  # and then refused for the empty form, each page in its way


@dataclass(frozen=True)
class Row:
    """An address and what each role gets of it; `post` where that is the method which does something."""

    statuses: tuple[Any, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    post: dict[str, str] | None = None


def everybody(status: Any, **options: Any) -> Row:
    return Row((TO_SIGN_IN, status, status, status, status), **options)


def members(status: Any, **options: Any) -> Row:
    return Row((TO_SIGN_IN, 404, status, status, status), **options)


def admins(status: int, **options: Any) -> Row:
    return Row((TO_SIGN_IN, 404, 403, status, status), **options)


def operators(status: int, **options: Any) -> Row:
    return Row((TO_SIGN_IN, 403, 403, 403, status), **options)


# An address may stand here more than once: by GET, and by POST. Empty forms are refused with the page (200).
TABLE = [
    ("login", Row((200, 302, 302, 302, 302))),
    ("logout", everybody(302, post={})),
    ("home", everybody(200)),
    ("password_change", everybody(200)),
    ("password_change", everybody(200, post={})),
    ("project", Row((TO_SIGN_IN, 404, 302, 200, 200))),
    ("new_project", operators(200)),
    ("new_project", operators(200, post={})),
    ("prompts", admins(200)),
    ("import_prompts", admins(200, post={})),
    ("prompt_imports", admins(200)),
    ("people", admins(200)),
    ("add_person", admins(200, post={})),
    ("change_person", admins(302, arguments={"pk": "dora"}, post={"role": "annotator"})),
    ("remove_person", admins(302, arguments={"pk": "dora"}, post={})),
    ("make_link", admins(200, post={})),
    ("withdraw_link", admins(302, arguments={"pk": "link"}, post={})),
    ("leave_project", Row((TO_SIGN_IN, 404, 200, 200, 404))),
    ("leave_project", Row((TO_SIGN_IN, 404, 302, 302, 404), post={})),
    ("join", Row((200, 200, 302, 302, 200), arguments={"token": "token"})),
    ("join", Row((TO_JOIN, 302, 302, 302, 302), arguments={"token": "token"}, post={})),
    ("join", Row((404, 404, 404, 404, 404), arguments={"token": "1.forged"})),
    ("join_with_new_account", Row((200, 302, 302, 302, 302), arguments={"token": "token"}, post={})),
    ("accounts", operators(200)),
    ("deactivate_account", operators(200, arguments={"pk": "charlie"})),
    ("deactivate_account", operators(302, arguments={"pk": "charlie"}, post={})),
    ("reactivate_account", operators(302, arguments={"pk": "charlie"}, post={})),
    ("settings", admins(200)),
    ("settings", admins(200, post={})),
    ("sampling", admins(200)),
    ("sampling", admins(200, post={})),
    ("sampling_job", admins(200, arguments={"pk": "job"})),
    ("cancel_sampling", admins(302, arguments={"pk": "job"}, post={})),
    ("resume_sampling", admins(302, arguments={"pk": "job"}, post={})),
    ("policies", admins(200)),
    ("register_policy", operators(200)),
    ("register_policy", operators(200, post={})),
    ("judge", members(200)),
    ("submit", members(LET_IN, arguments={"comparison": "comparison"}, post={})),
    ("take_back", members(LET_IN, post={})),
    ("start_judging", members(302, post={"guidelines": "1"})),
    ("upcoming", members(204)),  # they have not read the guidelines
    ("stay", members(204, post={})),
    ("leave", members(204, post={})),
    ("mine", members(200)),
    ("again", Row((TO_SIGN_IN, 404, 404, 404, 404), arguments={"comparison": "comparison"})),
    ("edit", Row((TO_SIGN_IN, 404, 404, 404, 404), arguments={"comparison": "comparison", "of": 1})),
    ("guidelines", members(200)),
    ("practice", members(200)),
    ("practise_again", members(302, post={})),
    ("practise", members(404, arguments={"comparison": "comparison"}, post={})),
    ("practise", members(200, arguments={"comparison": "practice"}, post={})),
    ("practice_feedback", members(302, arguments={"comparison": "practice"})),
    ("review", admins(200)),
    ("review_comparison", admins(200, arguments={"pk": "comparison"})),
    ("settle", admins(200, arguments={"pk": "comparison"}, post={})),
    ("unsettle", admins(302, arguments={"pk": "comparison"}, post={})),
    ("gold", admins(200)),
    ("add_gold", admins(302, post={})),
    ("add_damaged", admins(200, post={})),
    ("take_out_gold", admins(302, arguments={"pk": "check"}, post={})),
    ("exclude_person", admins(302, post={})),
    ("lift_exclusion", admins(302, arguments={"pk": "exclusion"}, post={})),
    ("numbers", admins(200)),
    ("numbers_json", admins(200)),
    ("rounds", admins(200)),
    ("launch_round", admins(200)),
    ("launch_round", admins(200, post={})),
    ("round", admins(200, arguments={"number": 1})),
    ("cancel_round", admins(302, arguments={"number": 1}, post={})),
    ("resume_round", admins(302, arguments={"number": 1}, post={})),
    ("evaluation", admins(200)),
    ("evaluation", admins(200, post={})),
    ("contest", admins(200, arguments={"pk": "contest"})),
    ("stop_contest", admins(302, arguments={"pk": "contest"}, post={})),
    ("datasets", admins(200)),
    ("freeze_dataset", admins(200)),
    ("freeze_dataset", admins(200, post={})),
    ("freeze_again", admins(302, arguments={"number": 1}, post={})),
    ("download_dataset", admins(200, arguments={"number": 1, "part": "train"})),
]


@pytest.fixture
def ids(project, policy, alice, bob, dora, charlie, olga, add_prompts, sampled) -> dict[str, int | str]:
    """A project with something at every address."""
    prompts = add_prompts("One?", "Two?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    comparisons = sampled({prompt: ["yes", "no"] for prompt in prompts})
    lease = next_lease(dora, project)
    record(dora, lease.comparison, best_of(0, 2), shown=lease.shown, client_key="key")
    freeze(launch_round(project, policy, RoundSettings()).dataset)
    left = next(comparison for comparison in comparisons if comparison != lease.comparison)
    membership = Membership.objects.get(user=dora)
    link = invite(project, alice, role="annotator", days=1, most_uses=None)
    settle(comparisons[0], best_of(0, 2), alice, [0, 1])
    practice = add([comparisons[0]], "practice", alice)[0]
    exclusion = exclude(project, bob, BEGINNING, alice)
    job = SamplingJob.objects.get()
    made = Policy.objects.create(name="Made", fingerprint="e" * 64, project=project, parent=policy)
    Prompt.objects.filter(pk=prompts[-1].pk).update(side=Prompt.Side.HELD_OUT)
    parameters = Parameters(n=1, temperature=1.0, top_p=1.0, top_k=0, max_tokens=64)
    contest = start_contest(project, made, policy, size=1, percent=10, parameters=parameters)
    return {
        "contest": contest.pk,
        "practice": practice.pk,
        "check": practice.check_made.pk,
        "exclusion": exclusion.pk,
        "job": job.pk,
        "comparison": left.pk,
        "dora": membership.pk,
        "link": link.pk,
        "token": link.get_absolute_url().split("/")[2],
        "charlie": charlie.pk,
    }


def patterns(found: list[Any]) -> list[URLPattern]:
    return [leaf for one in found for leaf in ([one] if isinstance(one, URLPattern) else patterns(one.url_patterns))]


def test_every_address_is_in_the_table():
    names = {pattern.name for pattern in patterns(get_resolver().url_patterns)}
    assert names == {name for name, _ in TABLE}


def address(name: str, row: Row, ids: dict[str, int | str]) -> str:
    pattern = next(one for one in patterns(get_resolver().url_patterns) if one.name == name)
    arguments = {key: ids.get(value, value) for key, value in row.arguments.items()}
    if "slug" in pattern.pattern.converters:
        arguments["slug"] = "plain"
    return reverse(name, kwargs=arguments)


@pytest.mark.parametrize("role", ROLES)
def test_every_address_answers_as_it_should(client, django_user_model, ids, role):
    """All addresses in one test, each in a transaction that is taken back: the data is made once a role."""
    person = None if role == "anonymous" else django_user_model.objects.get(username=role)
    found, expected = {}, {}
    for name, row in TABLE:
        url = address(name, row, ids)
        client.logout()
        if person:
            client.force_login(person)
        savepoint = transaction.savepoint()
        answer = client.get(url) if row.post is None else client.post(url, row.post)
        transaction.savepoint_rollback(savepoint)
        back = url if row.post is None else "/"
        sent_away = answer.status_code == 302 and answer.headers["Location"] == f"/sign-in/?next={back}"
        status = row.statuses[ROLES.index(role)]
        let_in = status == LET_IN and answer.status_code in (200, 302, 400) and not sent_away
        line = f"{'GET' if row.post is None else 'POST'} {url}"
        to_join = answer.status_code == 302 and answer.headers["Location"] == f"/sign-in/?next={url}" and row.post == {}
        gone = TO_SIGN_IN if sent_away else TO_JOIN if to_join else None
        found[line] = gone or (LET_IN if let_in else answer.status_code)
        expected[line] = status
    assert found == expected


def test_nothing_is_done_without_a_token(ids, olga):
    """Another site's page cannot send a form in the name of who is signed in."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    posts = [(name, row) for name, row in TABLE if row.post is not None]
    answers = {name: client.post(address(name, row, ids), row.post).status_code for name, row in posts}
    assert answers == dict.fromkeys(answers, 403)
