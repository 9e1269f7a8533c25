import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.leash import PR_SET_PDEATHSIG, prctl
from web.demo import ACCOUNTS_FILE

FIRST_PAGE_PATIENCE_SECONDS = 60
LARGEST_PORT = 65535
ANOTHER = "choose another address: WINNOW_LISTEN=127.0.0.1:8001 make run"


class Command(BaseCommand):
    help = "Start everything (web server, workers, device process, janitor) and stop all of it on Ctrl-C."

    def handle(self, *args: object, **options: object) -> None:
        host, port = address(settings.WINNOW_LISTEN)
        refuse_if_taken(host, port)
        home = f"http://{'localhost' if host in ('127.0.0.1', 'localhost') else host}:{port}/"
        environment = {
            **os.environ,
            "WINNOW_HOME": str(settings.WINNOW_HOME),
            "WINNOW_PYTHON": sys.executable,
            "WINNOW_SUPERVISED": "1",
        }
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", "config/supervisord.conf"],
            cwd=settings.BASE_DIR,
            env=environment,
            process_group=0,
            # However this process ends, nothing stays behind without it.
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop(supervisor))
        threading.Thread(target=self.greet, args=(home, supervisor), daemon=True).start()
        status = supervisor.wait()
        self.stdout.write("Winnow has stopped.")
        if status:
            raise CommandError(f"The supervisor ended with status {status}; see {settings.WINNOW_HOME}/log.")

    def stop(self, supervisor: "subprocess.Popen[bytes]") -> None:
        self.stdout.write("\nStopping; running jobs go on at the next start.")
        supervisor.send_signal(signal.SIGTERM)

    def greet(self, home: str, supervisor: "subprocess.Popen[bytes]") -> None:
        """Say where the page is, and how to sign in, once it answers."""
        deadline = time.monotonic() + FIRST_PAGE_PATIENCE_SECONDS
        while supervisor.poll() is None:
            try:
                httpx.get(home, timeout=2)
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    self.stderr.write(f"The web server does not answer; see {settings.WINNOW_HOME}/log/web.log.")
                    return
                time.sleep(0.2)
        accounts = settings.WINNOW_HOME / ACCOUNTS_FILE
        self.stdout.write(f"\nWinnow is at {home}\n{sign_in(accounts)}\nCtrl-C stops everything.\n")
        self.stdout.flush()


def address(listen: str) -> tuple[str, int]:
    """Read `address:port`.

    Raises:
        CommandError: it is something else.
    """
    host, _, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not bracketed) or not port.isdecimal() or int(port) > LARGEST_PORT:
        raise CommandError(f"WINNOW_LISTEN is {listen!r}, not an address and a port. Please {ANOTHER}")
    return host, int(port)


def refuse_if_taken(host: str, port: int) -> None:
    try:
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            taken = f"{host}:{port} is taken: Winnow, or something else, is running there. Stop it, or {ANOTHER}"
            raise CommandError(taken) from error
        raise CommandError(f"Winnow cannot listen on {host}:{port}: {error.strerror}. Please {ANOTHER}") from error


def sign_in(accounts: Path) -> str:
    if accounts.exists():
        return f"Sign in with one of these (kept in {accounts}):\n{accounts.read_text()}"
    return "Sign in with your account. The first operator is made by: .venv/bin/python manage.py createsuperuser"
