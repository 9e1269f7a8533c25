"""The running Winnows of the end-to-end tests: one with the real model and vLLM, one small and quick to fall."""

import pytest

from tests.engine.tiny import save_model
from tests.stack import DEMO_MODEL, Stack, running


@pytest.fixture(scope="session")
def winnow(tmp_path_factory):
    """Winnow with the demo's model and the real vLLM server: one for the whole run."""
    assert DEMO_MODEL.is_dir(), "The demo's model is missing: make demo-model"
    yield from running(Stack(tmp_path_factory.mktemp("winnow"), DEMO_MODEL))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Winnow with a tiny random model and the transformers sampler, to be killed in every part."""
    home = tmp_path_factory.mktemp("small")
    model = home / "models" / "tiny"
    save_model(model)
    yield from running(Stack(home, model, WINNOW_SAMPLER="transformers", WINNOW_STALE_SECONDS="6"))
