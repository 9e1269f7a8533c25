"""Registering base models: looked at in a child process, known by their fingerprint."""

import json

import pytest

from generation.models import Policy, Registration
from generation.policies import register_base, run_registration
from jobs.attempts import run_job
from jobs.models import Job
from tests.engine.tiny import save_model

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


def register(source):
    job = register_base("Tiny", str(source))
    run_job(job.pk, run_registration)
    return Registration.objects.get(pk=job.pk)


def test_it_works(tmp_path):
    job = register(save_model(tmp_path / "tiny"))
    assert (job.status, job.error) == (Job.Status.SUCCEEDED, "")
    policy = job.policy
    assert (policy.name, policy.lora_rank, policy.base, policy.folder) == ("Tiny", 0, None, str(tmp_path / "tiny"))
    assert len(policy.fingerprint) == len(policy.tokenizer_fingerprint) == 64


def test_the_same_weights_are_the_same_policy(tmp_path):
    first = register(save_model(tmp_path / "tiny"))
    copy = register(save_model(tmp_path / "copy"))
    assert copy.policy == first.policy
    other = register(save_model(tmp_path / "other", seed=1))
    assert other.policy != first.policy
    assert Policy.objects.count() == 2


def test_a_folder_that_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="There is no folder .*none. Give a checkpoint's folder, or a hub id"):
        register_base("Tiny", str(tmp_path / "none"))
    assert not Registration.objects.exists()


def test_a_checkpoint_without_weights_says_so(tmp_path):
    folder = save_model(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    job = register(folder)
    assert job.status == Job.Status.FAILED
    assert "holds no model.safetensors or adapter_model.safetensors" in job.error


def test_a_tokenizer_without_chat_template_says_so(tmp_path):
    folder = save_model(tmp_path / "tiny")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    job = register(folder)
    assert job.status == Job.Status.FAILED
    assert "has no chat template. Winnow needs a chat model." in job.error


def test_a_hub_that_cannot_be_reached_says_so():
    job = register("nobody/nothing")
    assert job.status == Job.Status.FAILED
    assert "nobody/nothing" in job.error
    assert "Give the folder of a checkpoint on this machine." in job.error
