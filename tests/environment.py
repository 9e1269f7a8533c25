"""A pytest plugin, loaded before Django reads its settings: tests get a data folder of their own."""

import atexit
import os
import shutil
import tempfile

home = tempfile.mkdtemp(prefix="winnow-test-")
os.makedirs(f"{home}/static")
os.environ["WINNOW_HOME"] = home
os.environ["CELERY_BROKER_URL"] = "memory://"
os.environ["HF_HUB_OFFLINE"] = "1"
atexit.register(shutil.rmtree, home, ignore_errors=True)
