"""Run a command that cannot outlive its parent: `python -m jobs.leash COMMAND …`.

The leash and its command form one process group. When the leash's standard input reaches its end (the parent
has died, however it died) or the command ends, the whole group is killed. Children that the command left
behind are adopted and killed with it. The leash's exit status is the command's, or 128 + signal.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> None:
    """Call Linux's prctl; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_supervisor() -> None:
    """End this process when the supervisor that `manage.py run` started has died."""
    if os.environ.get("WINNOW_SUPERVISED"):
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group() -> None:
    os.killpg(0, signal.SIGKILL)


def wait_for_parent_to_die() -> None:
    while os.read(0, 4096):
        pass
    kill_group()


def main() -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: None)  # meant for the command, which gets it as one of the group
    threading.Thread(target=wait_for_parent_to_die, daemon=True).start()
    command = subprocess.Popen(  # noqa: S603  (the caller's own command line)
        sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    )
    status = command.wait()
    # Tell the parent how it ended before taking the group, this process included, down.
    with contextlib.suppress(OSError):
        os.write(1, f"{128 - status if status < 0 else status}\n".encode())
    kill_group()


if __name__ == "__main__":
    main()
