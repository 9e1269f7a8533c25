from dataclasses import asdict, fields

import pytest
from django.urls import reverse

from generation.models import Policy
from train.datasets import current_dataset
from train.forms import likely_rate, plain
from train.models import Dataset, Round
from train.recipes import PRESETS, RoundSettings, preset_for
from train.rounds import launch_round
from train.rule_forms import initial_of
from train.rules import Rule

ADDRESS = "/p/plain/rounds/launch/"


@pytest.fixture
def page(client, alice, project):
    client.force_login(alice)
    return client


def usual_rule():
    """What the page sends of a rule that takes all there is."""
    return {name: "" if value is None else value for name, value in initial_of(Rule()).items()}


@pytest.fixture
def filled(policy):
    """What the page sends when only the policy was chosen."""
    settings = {name: "" if value is None else value for name, value in asdict(RoundSettings()).items()}
    del settings["deterministic"]  # a box that is not ticked
    return usual_rule() | settings | {"start": policy.pk, "reference": ""}


@pytest.fixture
def adapter(project, policy):
    return Policy.objects.create(
        name="Plain answers, round 1",
        path="x",
        fingerprint="a" * 64,
        tokenizer_fingerprint="t" * 64,
        project=project,
        base=policy,
        lora_rank=8,
    )


def test_it_launches_a_round(page, judged, filled, policy, alice):
    response = page.post(ADDRESS, filled | {"beta": "0.3", "max_steps": "20", "seed": "5"})
    round = Round.objects.get()
    assert response.url == reverse("round", args=["plain", 1])
    assert (round.number, round.start, round.reference, round.created_by) == (1, policy, policy, alice)
    assert RoundSettings(**round.configuration) == RoundSettings(beta=0.3, max_steps=20, seed=5)


def test_it_takes_another_reference(page, judged, filled, policy, adapter):
    page.post(ADDRESS, filled | {"start": adapter.pk, "lora_rank": "8", "reference": policy.pk})
    round = Round.objects.get()
    assert (round.start, round.reference) == (adapter, policy)


def test_it_starts_with_the_preset(page, judged, policy):
    initial = page.get(ADDRESS).context["form"].initial
    assert (initial["start"], initial["method"], initial["lora_rank"]) == (policy, "lora", 16)
    assert (initial["beta"], initial["learning_rate"], initial["groups_per_step"]) == ("0.1", "2e-4", 4)


def test_it_starts_with_the_last_rounds_settings(page, project, judged, policy):
    launch_round(project, policy, RoundSettings(method="full", learning_rate=5e-6, epochs=2))
    response = page.get(ADDRESS)
    initial = response.context["form"].initial
    assert (initial["method"], initial["learning_rate"], initial["epochs"]) == ("full", "5e-6", 2)
    assert "Everything is set as in round 1." in response.content.decode()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
def test_each_preset_fills_the_page_and_launches(page, project, judged, policy, preset):
    launch_round(project, policy, RoundSettings(beta=0.7))
    response = page.get(ADDRESS, {"like": preset.key})
    form = response.context["form"]
    assert form.chosen == preset.key
    assert preset.source in response.content.decode().replace("&#x27;", "'")
    sent = {name: "" if form[name].value() is None else form[name].value() for name in form.fields}
    sent |= usual_rule() | {"start": policy.pk, "deterministic": ""}
    assert page.post(ADDRESS, sent).status_code == 302
    assert RoundSettings(**Round.objects.get(number=2).configuration) == preset.settings


def test_the_preset_follows_the_number_of_pairs():
    assert [preset_for(pairs).key for pairs in (0, 1000, 1001, 20_000, 20_001)] == [
        "small",
        "small",
        "medium",
        "medium",
        "large",
    ]


def test_every_setting_of_a_round_is_on_the_page(page, judged):
    form = page.get(ADDRESS).context["form"]
    assert set(form.fields) == {field.name for field in fields(RoundSettings)} | {"start", "reference"}
    assert {name for _, names in form.LAYERS for name in names} < set(form.fields)


def test_what_the_trainer_refuses_is_told_at_its_field(page, judged, filled):
    for changes, field, message in [
        ({"loss": "ipo", "label_smoothing": "0.1"}, "label_smoothing", "Wrong votes is 0.1, but the loss 'ipo' has"),
        ({"loss": "robust"}, "label_smoothing", "Wrong votes, the probability that a vote is wrong, must be above 0"),
        ({"warmup_share": "1"}, "warmup_share", "Warm-up must be a number at least 0 and below 1, got 1.0."),
        ({"lora_modules": " "}, "lora_modules", "Give all-linear, or names of layers such as q_proj v_proj."),
    ]:
        response = page.post(ADDRESS, filled | changes)
        (error,) = response.context["form"].errors[field]
        assert error.startswith(message)
        assert '<details class="panel" open>' in response.content.decode()


def test_settings_that_do_not_fit_an_adapter_are_not_offered_for_it(page, project, judged, policy, adapter):
    launch_round(project, policy, RoundSettings(method="full", learning_rate=5e-6))
    response = page.get(ADDRESS)
    initial = response.context["form"].initial
    assert (initial["start"], initial["method"], initial["lora_rank"]) == (adapter, "lora", 8)
    assert initial["learning_rate"] == "2e-4"
    assert "Everything is set as in" not in response.content.decode()


def test_it_shows_what_there_is_to_train_on(page, judged):
    text = page.get(ADDRESS).content.decode()
    assert "3 pairs" in text
    assert "<dt>People</dt><dd>1</dd>" in text
    assert "<dt>Held-out pairs, to measure with</dt><dd>1</dd>" in text


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"beta": "-0.1"},
            "beta",
            "Beta (β) must be a number above 0, got -0.1. Typical are 0.05 to 0.5, for per-token losses 2 to 10.",
        ),
        ({"beta": "much"}, "beta", "Give a number of at most 1,000, such as 0.1."),
        (
            {"learning_rate": "0"},
            "learning_rate",
            "Learning rate must be a number above 0, got 0.0. LoRA: 1e-4 to 5e-4; full: 1e-7 to 1e-5.",
        ),
        (
            {"learning_rate": "5e-3", "method": "full"},
            "learning_rate",
            "5e-3 is 500 times the highest usual rate; the model would break. Did you mean 5e-6?",
        ),
        (
            {"learning_rate": "2"},
            "learning_rate",
            "2 is 4,000 times the highest usual rate; the model would break. Did you mean 2e-4?",
        ),
        (
            {"learning_rate": "2e-14"},
            "learning_rate",
            "2e-14 is so far below the usual rates that nothing would change. Did you mean 2e-4?",
        ),
        ({"epochs": "0"}, "epochs", "Give a whole number from 1 to 10,000,000."),
        ({"epochs": "9" * 30}, "epochs", "Give a whole number from 1 to 10,000,000."),
        ({"beta": "1e308"}, "beta", "Give a number of at most 1,000, such as 0.1."),
        (
            {"learning_rate": "1e-323"},
            "learning_rate",
            "9.88e-324 is so far below the usual rates that nothing would change. Did you mean 9.88e-5?",
        ),
        ({"lora_rank": "600"}, "lora_rank", "Give a whole number from 1 to 512."),
        ({"lora_rank": ""}, "lora_rank", "Give the adapter's rank, such as 16."),
        ({"start": ""}, "start", "Choose a policy."),
    ],
)
def test_it_says_what_is_wrong_and_keeps_what_was_typed(page, judged, filled, changes, field, message):
    response = page.post(ADDRESS, filled | changes)
    assert response.status_code == 200
    form = response.context["form"]
    assert form.errors == {field: [message]}
    assert form[field].value() == changes[field]
    assert not Round.objects.exists()
    assert not Dataset.objects.exists()


def test_an_adapter_goes_on_as_an_adapter_of_its_rank(page, judged, filled, adapter):
    response = page.post(ADDRESS, filled | {"start": adapter.pk, "method": "full", "learning_rate": "5e-6"})
    assert response.context["form"].errors["method"] == [
        "Plain answers, round 1 is an adapter, and training goes on in it. "
        "Choose an adapter here, or start from Tiny base."
    ]
    response = page.post(ADDRESS, filled | {"start": adapter.pk})
    assert response.context["form"].errors["lora_rank"] == [
        "Plain answers, round 1 has rank 8, and training goes on in it. Give 8, or start from Tiny base."
    ]
    assert page.post(ADDRESS, filled | {"start": adapter.pk, "lora_rank": "8"}).status_code == 302


def test_the_reference_must_read_the_same_tokens(page, judged, filled):
    other = Policy.objects.create(name="Other", path="x", fingerprint="b" * 64, tokenizer_fingerprint="u" * 64)
    response = page.post(ADDRESS, filled | {"reference": other.pk})
    assert response.context["form"].errors["reference"] == [
        "It reads other tokens than Tiny base. Choose a policy of the same base model, or none."
    ]


def test_without_pairs_it_leads_to_judging(page, filled):
    response = page.post(ADDRESS, filled)
    text = response.content.decode()
    assert "Plain answers has no preference pair to train on." in text
    assert reverse("judge", args=["plain"]) in text
    assert not Round.objects.exists()


def test_the_likely_rate_keeps_the_digits():
    assert likely_rate(5e-3, "full") == pytest.approx(5e-6)
    assert likely_rate(0.6, "lora") == pytest.approx(6e-5)
    assert likely_rate(3, "lora") == pytest.approx(3e-4)


def test_numbers_are_written_as_people_type_them():
    assert [plain(value) for value in (0.1, 2e-4, 5e-6, 1.5e-7, 1, 0.05)] == [
        "0.1",
        "2e-4",
        "5e-6",
        "1.5e-7",
        "1",
        "0.05",
    ]


def test_it_trains_on_what_the_rule_takes(page, judged, filled):
    page.post(ADDRESS, filled | {"expansion": "best", "opinions": "majority", "pairs_per_prompt": "2", "cap_seed": "9"})
    rule = Rule(expansion="best", opinions="majority", pairs_per_prompt=2, cap_seed=9)
    assert Round.objects.get().dataset.made_by == rule


def test_the_rule_begins_as_in_the_round_whose_settings_are_taken(page, project, judged, policy, dora):
    launch_round(project, policy, RoundSettings(), rule=Rule(agreement=67, people_left_out=(dora.pk,)))
    which = page.get(ADDRESS).context["which"]
    assert (which["agreement"].value(), list(which["people_left_out"].value())) == (67, [dora.pk])
    assert page.get(ADDRESS, {"like": "small"}).context["which"]["agreement"].value() == 0


def test_a_dataset_that_there_is_can_be_chosen(page, project, judged, filled):
    dataset = current_dataset(project, rule=Rule(settlements="aside"))
    response = page.post(ADDRESS, filled | {"dataset": "1", "count": "1"})
    assert "in dataset 1. Settlements aside." in response.content.decode()
    page.post(ADDRESS, filled | {"dataset": "1"})
    assert Round.objects.get().dataset == dataset
    response = page.post(ADDRESS, filled | {"dataset": "7"})
    assert response.context["which"].errors["dataset"] == ["There is no such frozen dataset. Choose one of the list."]


def test_it_counts_what_the_rule_would_give_and_launches_nothing(page, judged, filled):
    response = page.post(ADDRESS, filled | {"overlap": "2", "count": "1"})
    text = response.content.decode()
    assert "0 pairs" in text
    assert "wait for another opinion" in text
    assert response.context["form"]["beta"].value() == "0.1"  # what was typed stays
    assert not Round.objects.exists()


def test_htmx_gets_the_counts_and_the_sample_alone(page, judged, filled):
    response = page.post(ADDRESS, filled, headers={"HX-Request": "true", "HX-Target": "counts"})
    text = response.content.decode()
    assert text.lstrip().startswith('<div id="counts"')
    assert '<div id="samples" hx-swap-oob="true"' in text
    assert "3 of the 3 pairs, drawn at random." in text
    assert not Round.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"overlap": "0"}, "overlap", "Give a whole number from 1 to 1,000."),
        ({"agreement": "101"}, "agreement", "Give a whole number from 0 to 100."),
        ({"since": "dates"}, "first_day", "“From” and “To” must both be given where “Judged” is dates."),
        (
            {"since": "dates", "first_day": "2026-03-02", "last_day": "2026-03-01"},
            "first_day",
            "“From” must not be after “To”, got 2026-03-02 and 2026-03-01.",
        ),
        ({"first_day": "soon"}, "first_day", "Give a day such as 2026-03-31."),
        ({"people_left_out": ["0"]}, "people_left_out", "One of these is not to be had here. Choose of the list."),
        ({"expansion": "some"}, "expansion", "Choose one of: all pairs, neighbours only, best against the rest."),
    ],
)
def test_it_says_what_is_wrong_with_a_rule(page, judged, filled, changes, field, message):
    response = page.post(ADDRESS, filled | changes)
    assert response.context["which"].errors == {field: [message]}
    assert "What is wrong is said at its field." in response.content.decode()
    assert not Round.objects.exists()


def test_queries(page, project, policy, judged, adapter, django_assert_num_queries):
    # 1 session, 2 person, 3 project, 4 membership; defaults: 5 newest policy, 6 last round; pairs: 7 last round,
    # 8 figures, 9 who is left out; 10 the next number; the policies to choose from: 11 to start from and 12 whether
    # there are any, 13 for the reference; of the rule: 14 datasets, 15 people and 16 policies; 17 to 30 what it gives
    with django_assert_num_queries(30):
        page.get(ADDRESS)
