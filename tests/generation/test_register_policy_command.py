import io

import pytest
from django.core.management import CommandError, call_command

from generation.models import Policy, Registration
from jobs import follow
from jobs.models import Job


def register(*options):
    output = io.StringIO()
    call_command("register_policy", *options, stdout=output)
    return output.getvalue()


@pytest.mark.django_db
def test_it_queues_a_registration(tmp_path):
    register("Small", str(tmp_path), "--no-wait")
    job = Registration.objects.get()
    assert (job.name, job.source, job.revision) == ("Small", str(tmp_path), "")


@pytest.mark.django_db
def test_it_follows_and_names_the_policy(monkeypatch, policy):
    def done():
        Registration.objects.update(policy=policy)
        Job.objects.update(status="succeeded")

    monkeypatch.setattr(follow, "wait", done)
    output = register("Small", "org/name", "--revision", "main")
    assert output.endswith(f"It is policy {policy.pk}, “Tiny base”, with the fingerprint ffffffffffff.\n")
    assert Registration.objects.get().revision == "main"


@pytest.mark.django_db
def test_it_refuses_a_folder_that_is_not_there():
    with pytest.raises(CommandError, match="--source: There is no folder /no/such/folder."):
        register("Small", "/no/such/folder")
    assert not Policy.objects.exists()
