"""The web server as a process of its own."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.stack import ROOT, free_port, wait_until


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    found = {**os.environ, "WINNOW_HOME": str(tmp_path_factory.mktemp("home")), "DATABASE_URL": ""}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=found, check=True)
    return found


@pytest.fixture
def start(environment):
    started = []

    def run_web(processes: int) -> tuple[subprocess.Popen, str]:
        address = f"127.0.0.1:{free_port()}"
        about = {"WINNOW_LISTEN": address, "WINNOW_WEB_PROCESSES": str(processes)}
        server = subprocess.Popen([sys.executable, "manage.py", "run_web"], cwd=ROOT, env={**environment, **about})
        started.append(server)
        page = f"http://{address}/sign-in/"
        wait_until(lambda: answers(page), 30, "The first page")
        return server, page

    yield run_web
    for server in started:
        server.kill()
        server.wait()


def answers(page: str) -> bool:
    try:
        return httpx.get(page).status_code == 200
    except httpx.TransportError:
        return False


def test_several_processes_answer_at_one_address_and_end_together(start):
    server, page = start(2)
    processes = psutil.Process(server.pid).children()
    assert len(processes) == 2
    for stopped in processes:  # each of them answers alone
        stopped.suspend()
        assert answers(page)
        stopped.resume()
    processes[0].kill()
    assert server.wait(10) == 1
    wait_until(lambda: not any(map(psutil.Process.is_running, processes)), 10, "The end of both")
    assert not answers(page)


@pytest.mark.parametrize("processes", [1, 2])
def test_it_ends_when_it_is_told_to(start, processes):
    server, page = start(processes)
    children = psutil.Process(server.pid).children()
    assert len(children) == (0 if processes == 1 else 2)
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
    wait_until(lambda: not any(map(psutil.Process.is_running, children)), 10, "The end of all")
    assert not answers(page)


def test_its_processes_do_not_outlive_it(start):
    server, page = start(2)
    children = psutil.Process(server.pid).children()
    server.kill()
    wait_until(lambda: not any(map(psutil.Process.is_running, children)), 10, "The end of all")
    assert not answers(page)


def test_no_process_at_all_is_refused(environment):
    command = [sys.executable, "manage.py", "run_web"]
    said = subprocess.run(command, cwd=ROOT, env={**environment, "WINNOW_WEB_PROCESSES": "0"}, capture_output=True)
    assert said.returncode == 1
    assert b"WINNOW_WEB_PROCESSES is 0; at least 1 is needed." in said.stderr
