import logging

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from jobs import janitor, stopping
from jobs.leash import die_with_supervisor

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 5


class Command(BaseCommand):
    help = "Announce queued jobs whose message was lost, and put back jobs whose worker died."

    def handle(self, *args: object, **options: object) -> None:
        die_with_supervisor()
        stopping.stop_on_signals()
        while not stopping.stop_requested():
            try:
                janitor.tidy()
            except DatabaseError:
                logger.exception("The database did not answer; the next try is in %d s.", PERIOD_SECONDS)
            stopping.wait(PERIOD_SECONDS)
