"""The process that owns a device: starts the model server, keeps it warm, stops it for training on a GPU."""

import json
import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import httpx
from django.conf import settings
from django.db.models.functions import Now

from jobs import stopping
from jobs.models import Device
from jobs.processes import Child, tail

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
START_PATIENCE_SECONDS = 600
HEALTH_PERIOD_SECONDS = 5
HEALTH_PATIENCE_SECONDS = 60  # a server that was ready and is silent this long hangs
STOP_PATIENCE_SECONDS = 10
MOST_FAILED_STARTS = 3
VLLM_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM 0.32 takes for --max-lora-rank


def device_kind() -> str:
    """Return "cuda" where an NVIDIA driver answers, else "cpu", unless the operator said which."""
    return settings.WINNOW_DEVICE or ("cuda" if shutil.which("nvidia-smi") else "cpu")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def context_tokens(checkpoint: str) -> int:
    """Return the longest prompt plus answer to serve: what the model can, within WINNOW_CONTEXT_TOKENS."""
    config = Path(checkpoint) / "config.json"
    most = json.loads(config.read_text()).get("max_position_embeddings") if config.exists() else None
    return min(most or settings.WINNOW_CONTEXT_TOKENS, settings.WINNOW_CONTEXT_TOKENS)


def vllm_command(checkpoint: str, kind: str, lora_rank: int, port: int) -> list[str]:
    """Return the command line of vLLM's server for one checkpoint, adapters to be loaded as they come."""
    context = context_tokens(checkpoint)
    python = settings.WINNOW_VLLM_PYTHON or sys.executable
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", checkpoint, "--served-model-name", "base", "--max-model-len", str(context)]
    # The request says everything: the checkpoint's own generation defaults must not slip in.
    command += ["--generation-config", "vllm", "--disable-uvicorn-access-log"]
    rank = min(allowed for allowed in VLLM_LORA_RANKS if allowed >= lora_rank)
    command += ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", "2", "--max-cpu-loras", "8"]
    if kind == "cpu":
        # vLLM's CPU engine dies of a seeded request whose prompt is prefilled in chunks. Small blocks let
        # short prompts share their prefix among n samples. float32: bfloat16 is emulated on most CPUs.
        command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(context)]
        command += ["--block-size", "32", "--dtype", "float32"]
    return command + settings.WINNOW_VLLM_ARGS.split()


def server_command(checkpoint: str, kind: str, lora_rank: int, port: int) -> list[str]:
    if settings.WINNOW_SAMPLER == "transformers":
        module = "generation.transformers_server"
        return [sys.executable, "-m", module, "--model", checkpoint, "--port", str(port), "--device", kind]
    return vllm_command(checkpoint, kind, lora_rank, port)


def server_environment() -> dict[str, str]:
    return {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_CPU_KVCACHE_SPACE": str(settings.WINNOW_VLLM_KV_CACHE_GIB),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


class ModelServer:
    """The device's one server process and what it serves."""

    def __init__(self, kind: str, log: Path):
        self.kind, self.log = kind, log
        self.child: Child | None = None
        self.url = ""
        self.serves: tuple[str, int] = ("", 0)  # checkpoint, LoRA rank
        self.started = 0.0
        self.ready = False
        self.asked = self.healthy = 0.0  # when its health was asked for, and was good
        self.failed_starts = 0

    def start(self, checkpoint: str, lora_rank: int) -> None:
        port = free_port()
        command = server_command(checkpoint, self.kind, lora_rank, port)
        logger.info("Starting the model server for %s on port %d.", checkpoint, port)
        self.child = Child(command, log=self.log, env=server_environment())
        self.url, self.serves = f"http://127.0.0.1:{port}", (checkpoint, lora_rank)
        self.started, self.ready = time.monotonic(), False

    def stop(self) -> None:
        if self.child:
            self.child.stop(STOP_PATIENCE_SECONDS)
            logger.info("The model server has stopped.")
        self.child, self.ready, self.url = None, False, ""

    def check(self) -> None:
        """Look whether the server answers, has died or takes too long to start."""
        if self.child is None:
            return
        status = self.child.status()
        if status is not None:
            self._lost(f"It ended with exit status {status}.")
        elif not self.ready and self._is_healthy():
            self.ready, self.failed_starts = True, 0
            self.asked = self.healthy = time.monotonic()
            logger.info("The model server is ready after %.0f s.", time.monotonic() - self.started)
        elif self.ready:
            self._check_again()
        elif time.monotonic() - self.started > START_PATIENCE_SECONDS:
            self._lost(f"It was not ready after {START_PATIENCE_SECONDS} seconds.")

    def _check_again(self) -> None:
        now = time.monotonic()
        if now - self.asked < HEALTH_PERIOD_SECONDS:
            return
        self.asked = now
        if self._is_healthy():
            self.healthy = now
        elif now - self.healthy > HEALTH_PATIENCE_SECONDS:
            self._lost(f"It has not answered for {HEALTH_PATIENCE_SECONDS} seconds.")

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def _lost(self, reason: str) -> None:
        logger.warning("The model server is lost. %s", reason)
        if not self.ready:
            self.failed_starts += 1
        self.stop()

    def state(self) -> tuple[str, str]:
        """Return the Device row's `server` and `server_message`."""
        if self.child and self.ready:
            return Device.Server.READY, ""
        if self.child:
            return Device.Server.STARTING, f"It has been starting for {time.monotonic() - self.started:.0f} s."
        if self.failed_starts >= MOST_FAILED_STARTS:
            return (
                Device.Server.FAILED,
                f"It failed {self.failed_starts} times. The end of {self.log}:\n{tail(self.log)}",
            )
        return Device.Server.STOPPED, ""


class DeviceProcess:
    """Keeps one Device row and its model server as the leases on the row want them."""

    def __init__(self, name: str, kind: str):
        self.row, _ = Device.objects.update_or_create(name=name, defaults={"kind": kind})
        self.server = ModelServer(kind, settings.WINNOW_HOME / "log" / f"model-server-{name}.log")
        self.lease = (self.row.holder_id, self.row.holder_attempt)
        # An earlier process that was killed has taken its server with it (jobs.leash): begin with none.
        self.write()

    def run(self) -> None:
        try:
            while not stopping.stop_requested():
                self.step()
                stopping.wait(POLL_SECONDS)
        finally:
            self.server.stop()
            self.write()
            Device.objects.filter(pk=self.row.pk).update(heartbeat=None)

    def step(self) -> None:
        self.row.refresh_from_db()
        wanted = self.wanted()
        self.server.check()
        if self.server.child and self.server.serves != wanted:
            self.server.stop()
        lease = (self.row.holder_id, self.row.holder_attempt)
        if wanted != self.server.serves or lease != self.lease:
            self.server.failed_starts, self.lease = 0, lease
        if wanted[0] and not self.server.child and self.server.failed_starts < MOST_FAILED_STARTS:
            self.server.start(*wanted)
        self.write()

    def wanted(self) -> tuple[str, int]:
        """What the server is to serve now: nothing while a GPU trains; else the last thing asked for."""
        training = self.row.purpose == Device.Purpose.TRAINING and self.row.holder_is_alive()
        if training and self.row.kind != "cpu":
            return "", 0
        rank = self.row.wanted_lora_rank
        checkpoint, served_rank = self.server.serves
        if checkpoint == self.row.wanted_checkpoint and served_rank > rank:
            rank = served_rank
        return self.row.wanted_checkpoint, rank

    def write(self) -> None:
        """Write what is, and nothing of what the runners write, to the row."""
        state, message = self.server.state()
        checkpoint, rank = self.server.serves
        Device.objects.filter(pk=self.row.pk).update(
            heartbeat=Now(),
            server=state,
            server_message=message,
            server_checkpoint=checkpoint,
            server_lora_rank=rank,
            server_url=self.server.url,
        )


def run(name: str) -> None:
    os.chdir(settings.BASE_DIR)
    kind = device_kind()
    logger.info("Device %s (%s) with the %s sampler.", name, kind, settings.WINNOW_SAMPLER)
    DeviceProcess(name, kind).run()
