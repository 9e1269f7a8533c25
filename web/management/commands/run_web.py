import signal
import sys

import waitress
from django.conf import settings
from django.core.management.base import BaseCommand

from config.wsgi import application
from jobs.leash import die_with_supervisor

THREADS = 16


class Command(BaseCommand):
    help = "Serve the pages. WINNOW_LISTEN says where: an address and port, loopback by default."

    def handle(self, *args: object, **options: object) -> None:
        die_with_supervisor()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        waitress.serve(application, listen=settings.WINNOW_LISTEN, threads=THREADS, ident=None)
