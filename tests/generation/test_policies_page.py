import pytest

from generation.models import Policy

ADDRESS = "/p/plain/policies/"


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


@pytest.fixture
def adapter(project, policy):
    return Policy.objects.create(
        name="Plain answers, round 1",
        path="x",
        fingerprint="0123456789abcdef" * 4,
        tokenizer_fingerprint="t" * 64,
        project=project,
        base=policy,
        parent=policy,
        lora_rank=16,
    )


def test_it_lists_base_models_and_what_rounds_made(page, policy, adapter, add_prompts, sampled):
    (prompt,) = add_prompts("One?")
    sampled({prompt: ["a", "b"]})
    text = page.get(ADDRESS).content.decode()
    assert "adapter, rank 16" in text
    assert "0123456789ab</code>" in text
    assert "base model" in text
    assert {row.name: row.answers for row in page.get(ADDRESS).context["page"]} == {
        "Tiny base": 2,
        "Plain answers, round 1": 0,
    }


def test_it_hides_other_projects_policies(page, policy, adapter):
    from projects.models import Project

    Policy.objects.filter(pk=adapter.pk).update(project=Project.objects.create(name="Other", slug="other"))
    assert [row.name for row in page.get(ADDRESS).context["page"]] == ["Tiny base"]


def test_only_operators_are_shown_the_way_to_register(page, client, policy, olga):
    assert "/policies/register/" not in page.get(ADDRESS).content.decode()
    client.force_login(olga)
    assert "/policies/register/" in client.get(ADDRESS).content.decode()


def test_empty(page):
    assert "An operator registers the first base model" in page.get(ADDRESS).content.decode()


def test_queries(page, policy, adapter, django_assert_num_queries):
    # 1 session, 2 person, 3 project, 4 membership; policies: 5 count, 6 page, 7 the rounds that made them
    with django_assert_num_queries(7):
        page.get(ADDRESS)
