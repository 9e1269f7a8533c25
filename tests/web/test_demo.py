"""The demo: what a newcomer finds, and that nothing in it has a default password."""

import re
import stat

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from generation.models import SamplingJob
from jobs.models import Job
from projects.models import Project, Prompt
from tests.engine.tiny import save_model
from web.management.commands.run import address, refuse_if_taken, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def home(settings, tmp_path):
    settings.WINNOW_HOME = tmp_path
    for name in ("run", "log", "imports"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def demo(home):
    call_command("make_demo", model=save_model(home / "tiny"))
    return Project.objects.get()


def test_it_works(demo, home):
    prompts = Prompt.objects.imported().filter(project=demo)
    assert prompts.count() >= 100
    assert prompts.held_out().count() >= 10
    assert len(demo.guidelines().text.split()) > 100
    job = SamplingJob.objects.get()
    assert (job.status, job.n, job.total) == (Job.Status.QUEUED, 4, 16)
    assert sorted(demo.memberships.values_list("role", flat=True)) == ["admin", "annotator", "annotator"]


def test_the_accounts_have_random_passwords_in_a_file_of_the_owner(demo, home):
    file = home / "demo-accounts.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    accounts = [line.split()[:2] for line in file.read_text().splitlines()]
    assert {name for name, _ in accounts} == {"operator", "admin", "anna", "ben"}
    for name, password in accounts:
        assert len(password) >= 12
        assert authenticate(username=name, password=password) == User.objects.get(username=name)
    assert len({password for _, password in accounts}) == 4
    assert accounts[0][1] in sign_in(file)


def test_it_is_made_once(demo, home):
    before = (home / "demo-accounts.txt").read_text()
    call_command("make_demo", model=home / "tiny")
    assert Project.objects.count() == 1
    assert (home / "demo-accounts.txt").read_text() == before


def test_a_missing_model_is_said(home):
    with pytest.raises(CommandError, match="There is no model in .*none. `make demo-model` brings it."):
        call_command("make_demo", model=home / "none")


def test_a_taken_port_is_said_before_anything_starts(live_server):
    host, port = live_server.thread.host, live_server.thread.port
    with pytest.raises(CommandError, match=f"{host}:{port} is taken.*WINNOW_LISTEN"):
        refuse_if_taken(host, port)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:8000", "127.0.0.1", 8000), ("[::1]:8001", "[::1]", 8001), ("winnow.lan:80", "winnow.lan", 80)],
)
def test_where_to_listen_is_an_address_and_a_port(listen, host, port):
    assert address(listen) == (host, port)


@pytest.mark.parametrize("listen", ["8000", "localhost", "127.0.0.1:", "127.0.0.1:http", ":8000", "::1:99999"])
def test_nonsense_for_where_to_listen_is_refused_with_an_example(listen):
    with pytest.raises(CommandError, match=re.escape(f"WINNOW_LISTEN is {listen!r}") + ".*127.0.0.1:8001"):
        address(listen)


def test_an_address_of_another_machine_is_said_before_anything_starts():
    with pytest.raises(CommandError, match="cannot listen on 203.0.113.1:8000.*WINNOW_LISTEN"):
        refuse_if_taken("203.0.113.1", 8000)


def test_without_the_demo_it_says_how_to_make_an_account(tmp_path):
    assert "createsuperuser" in sign_in(tmp_path / "none")
