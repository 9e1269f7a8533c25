"""Endpoints for tests: the real transformers server with a tiny model, and a fake that answers as it is told."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from jobs.processes import Child, tail
from tests.stack import ROOT, free_port, wait_until


@contextmanager
def transformers_server(model: Path, log: Path) -> Iterator[str]:
    """The product's own slow sampler, as the device process starts it."""
    port = free_port()
    command = [sys.executable, "-m", "generation.transformers_server", "--model", str(model), "--port", str(port)]
    child = Child(command, log=log, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert child.status() is None, tail(log)
        try:
            return httpx.get(f"{url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(ready, 60, "the server")
        yield url
    finally:
        child.kill()


def good_answer(request: dict) -> dict:
    """A well-formed answer to a chat completion request."""
    choices = [
        {
            "index": index,
            "message": {"content": f"answer {request['seed'] + index}"},
            "token_ids": [5, 6],
            "logprobs": {"content": [{"logprob": -1.0}, {"logprob": -0.5}]},
            "finish_reason": "stop",
        }
        for index in range(request["n"])
    ]
    return {"choices": choices, "prompt_token_ids": [1, 2, 3]}


@contextmanager
def fake_endpoint(answer: Callable[[dict, int], tuple[int, object]]) -> Iterator[str]:
    """A FAKE of vLLM's server: `answer(request, calls so far)` gives the status and the body."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls.append(request)
            status, body = answer(request, len(calls))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # connections at once: with fewer the kernel resets some

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
