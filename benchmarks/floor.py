"""The floor: what a signed-in Django view costs that makes one durable insert and renders the reply of a judgement.

Settings and addresses in one: `DJANGO_SETTINGS_MODULE=benchmarks.floor manage.py run_web` is Winnow with one address
more, `floor/`. It renders the very template and context that the last real submit was answered with, once one was.
"""

from config.settings import *  # noqa: F403  (these are settings)

ROOT_URLCONF = "benchmarks.floor_urls"
