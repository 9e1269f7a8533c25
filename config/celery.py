"""The Celery app. Messages only say "look at this row": the database is the truth about every job."""

import os

from celery import Celery
from celery.signals import worker_init

from jobs.leash import die_with_supervisor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("winnow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def tie_to_supervisor(**_kwargs: object) -> None:
    die_with_supervisor()
