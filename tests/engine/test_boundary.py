"""train/engine runs where Django is not installed, and its configuration where torch is not."""

import subprocess
import sys

ALONE = """
import importlib, pkgutil, sys
for name in ("django", "celery", "jobs", "projects", "generation", "annotate", "web"):
    sys.modules[name] = None
import train.engine
for module in pkgutil.walk_packages(train.engine.__path__, "train.engine."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "peft", "numpy"):
    sys.modules[name] = None
import train.engine.config, train.engine.fingerprint, train.engine.groups, train.engine.tokens
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_engine_imports_without_django():
    run(ALONE)


def test_config_data_and_fingerprints_import_without_torch():
    run(WITHOUT_TORCH)
