import multiprocessing
import signal
import socket
import sys
from multiprocessing.connection import wait
from typing import Any

import waitress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from waitress.adjustments import Adjustments

from config.wsgi import application
from jobs.leash import PR_SET_PDEATHSIG, die_with_supervisor, prctl

THREADS = 6  # of each process: more take turns at the interpreter more often, and a loop costs a fifth more
BACKLOG = 1024  # connections that wait to be taken

fork = multiprocessing.get_context("fork")  # the processes share what was loaded before, and the sockets


class Command(BaseCommand):
    help = """Serve the pages. WINNOW_LISTEN says where: an address and port, loopback by default.
    WINNOW_WEB_PROCESSES says by how many processes: one for each core by default, up to 4, on SQLite 2."""

    def handle(self, *args: object, **options: object) -> None:
        die_with_supervisor()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        sockets = listening(settings.WINNOW_LISTEN)
        if settings.WINNOW_WEB_PROCESSES < 1:
            raise CommandError(f"WINNOW_WEB_PROCESSES is {settings.WINNOW_WEB_PROCESSES}; at least 1 is needed.")
        if settings.WINNOW_WEB_PROCESSES == 1:
            serve(sockets)
            return
        servers = []
        try:
            for _ in range(settings.WINNOW_WEB_PROCESSES):
                servers.append(fork.Process(target=serve_for_parent, args=(sockets,)))
                servers[-1].start()
            wait([server.sentinel for server in servers])
            raise CommandError("A web process has ended: all of them are started anew.")
        finally:
            for server in servers:
                server.terminate()


def listening(listen: str) -> list[socket.socket]:
    """Bind what WINNOW_LISTEN names; a host name may be several addresses."""
    sockets = []
    for family, kind, protocol, address in Adjustments(listen=listen).listen:
        here = socket.socket(family, kind, protocol)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            here.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        here.bind(address)
        here.setblocking(False)
        sockets.append(here)
    return sockets


def serve(sockets: list[socket.socket]) -> None:
    options: dict[str, Any] = {"sockets": sockets, "threads": THREADS, "backlog": BACKLOG, "ident": None}
    waitress.serve(application, **options)


def serve_for_parent(sockets: list[socket.socket]) -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    serve(sockets)
