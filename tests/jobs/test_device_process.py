"""The device process and a model server that comes up, hangs, wakes or will not start."""

import sys

import pytest

from jobs import device_process
from jobs.device_process import DeviceProcess, context_tokens, vllm_command
from jobs.models import Device
from tests.stack import wait_until

# A server that is healthy until the file `hangs` appears beside it, and then answers nothing.
SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if Path(sys.argv[2]).exists():
            return  # closes the connection without an answer
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def hangs(tmp_path):
    """The file that makes the server hang."""
    return tmp_path / "hangs"


@pytest.fixture
def process(db, hangs, monkeypatch):
    """A device process whose server is a small one, wanted but not yet started, and looked at all the time."""
    command = lambda checkpoint, kind, rank, port: [sys.executable, "-c", SERVER, str(port), str(hangs)]  # noqa: E731
    monkeypatch.setattr(device_process, "server_command", command)
    monkeypatch.setattr(device_process, "HEALTH_PERIOD_SECONDS", 0)
    process = DeviceProcess("here", "cpu")
    Device.objects.update(wanted_checkpoint="models/tiny", wanted_lora_rank=16)
    yield process
    process.server.stop()


def until(process, **values):
    """Let the process step until its row has these values; return the row."""

    def reached() -> bool:
        process.step()
        row = Device.objects.get()
        return all(getattr(row, name) == value for name, value in values.items())

    wait_until(reached, 20, f"{values}")
    return Device.objects.get()


def test_it_works(process):
    row = until(process, server=Device.Server.READY)
    assert (row.server_checkpoint, row.server_lora_rank) == ("models/tiny", 16)
    assert row.server_url.startswith("http://127.0.0.1:")


def test_a_server_that_is_killed_is_started_again(process):
    first = until(process, server=Device.Server.READY).server_url
    process.server.child.kill()
    until(process, server=Device.Server.STARTING)
    assert until(process, server=Device.Server.READY).server_url != first


def test_a_server_that_hangs_is_started_again(process, hangs, monkeypatch):
    monkeypatch.setattr(device_process, "HEALTH_PATIENCE_SECONDS", 0.5)
    hung = until(process, server=Device.Server.READY).server_url
    hangs.touch()
    until(process, server=Device.Server.STARTING)
    hangs.unlink()
    assert until(process, server=Device.Server.READY).server_url != hung


def test_a_server_that_is_slow_to_answer_is_left_alone(process, hangs):
    url = until(process, server=Device.Server.READY).server_url
    hangs.touch()
    for _ in range(5):
        process.step()
    assert Device.objects.get().server_url == url


def test_a_server_that_never_starts_is_given_up_with_its_last_words(process, monkeypatch):
    words = "import sys; sys.exit('no memory for the cache')"
    monkeypatch.setattr(device_process, "server_command", lambda *_: [sys.executable, "-c", words])
    row = until(process, server=Device.Server.FAILED)
    assert "It failed 3 times." in row.server_message
    assert "no memory for the cache" in row.server_message


def test_another_checkpoint_takes_the_place_of_the_first(process):
    until(process, server=Device.Server.READY)
    Device.objects.update(wanted_checkpoint="models/other")
    until(process, server=Device.Server.READY, server_checkpoint="models/other")


def test_a_lower_rank_on_the_same_checkpoint_needs_no_new_server(process):
    url = until(process, server=Device.Server.READY).server_url
    Device.objects.update(wanted_lora_rank=8)
    process.step()
    assert until(process, server=Device.Server.READY).server_url == url


def test_the_context_is_the_model_s_within_the_limit(tmp_path, settings):
    settings.WINNOW_CONTEXT_TOKENS = 2048
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    assert context_tokens(str(tmp_path)) == 512
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 131072}')
    assert context_tokens(str(tmp_path)) == 2048


def test_a_seeded_request_cannot_be_prefilled_in_chunks_on_a_cpu():
    command = vllm_command("models/tiny", "cpu", 16, 8001)
    assert "--no-enable-chunked-prefill" in command
    assert "--no-enable-chunked-prefill" not in vllm_command("models/tiny", "cuda", 16, 8001)
