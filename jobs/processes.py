"""Child processes that die with their parent and can be stopped as a whole group."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Child:
    """A command on a leash (see `jobs.leash`), its output appended to a log file."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        lock: Path | None = None,
    ):
        """Start the command. While it lives it holds `lock`; what held that before is killed."""
        held = _take_lock(lock) if lock else None
        self._status: int | None = None
        with log.open("ab") as output:
            self._leash = subprocess.Popen(
                [sys.executable, "-m", "jobs.leash", "sh", "-c", 'exec "$@" >&2', "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(env or {}), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
                cwd=cwd,
                process_group=0,
                pass_fds=[held] if held else [],
            )
        self.pid = self._leash.pid  # also the process group's id
        if held:
            os.pwrite(held, str(self.pid).encode(), 0)
            os.close(held)  # the leash keeps it

    def status(self) -> int | None:
        """Return the command's exit status (128 + N for signal N), or None while it runs."""
        if self._status is None and self._leash.poll() is not None:
            assert self._leash.stdout is not None
            said = self._leash.stdout.read().strip()
            # A leash that was itself killed says nothing; the group must not outlive it.
            self._status = int(said) if said else 128 + signal.SIGKILL
            self._kill_group()
            self._close()
        return self._status

    def stop(self, patience: float) -> int:
        """Ask the group to end, kill it after `patience` seconds, and return the exit status."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + patience
        while self.status() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.kill()

    def kill(self) -> int:
        if self.status() is None:
            self._kill_group()
            self._leash.wait()
        status = self.status()
        assert status is not None
        return status

    def _signal(self, number: int) -> None:
        if self.status() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        for stream in (self._leash.stdin, self._leash.stdout):
            if stream:
                stream.close()


def _take_lock(path: Path) -> int:
    """Lock a file, killing the process group that holds it; return the descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(100):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if group := os.pread(descriptor, 20, 0):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
            time.sleep(0.1)
        else:
            os.ftruncate(descriptor, 0)
            return descriptor
    os.close(descriptor)
    raise TimeoutError(f"{path} is still locked by a process that does not die.")


def tail(path: Path, lines: int = 15, most_bytes: int = 8192) -> str:
    """Return the last lines of a log file."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most_bytes))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""
