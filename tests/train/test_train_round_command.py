import io
from dataclasses import replace
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from generation.models import Policy
from jobs import follow
from jobs.models import Job
from train.datasets import current_dataset
from train.models import Round
from train.recipes import PRESETS, RoundSettings
from train.rules import Rule


def train(*options):
    output = io.StringIO()
    call_command("train_round", "plain", *options, stdout=output)
    return output.getvalue()


def test_it_queues_a_round_with_the_pages_defaults(judged, policy):
    assert train("--no-wait") == "Queued as round 1, from Tiny base.\n"
    round = Round.objects.get()
    assert (round.start, round.reference) == (policy, policy)
    assert RoundSettings(**round.configuration) == RoundSettings()


def test_it_obeys_its_options(judged, policy):
    other = Policy.objects.create(name="Other", path="x", fingerprint="a" * 64, tokenizer_fingerprint="t" * 64)
    options = "--method full --beta 0.2 --learning-rate 5e-6 --epochs 2 --groups-per-step 8 --max-steps 5 --seed 3"
    train("--from", "Tiny base", "--reference", str(other.pk), *options.split(), "--no-wait")
    round = Round.objects.get()
    assert (round.start, round.reference) == (policy, other)
    chosen = RoundSettings(
        method="full", beta=0.2, learning_rate=5e-6, epochs=2, groups_per_step=8, max_steps=5, seed=3
    )
    assert RoundSettings(**round.configuration) == chosen


def test_it_begins_with_a_preset_and_takes_every_setting(judged, policy):
    options = "--like full --loss ipo --ties half --max-prompt-tokens 99 --deterministic --checkpoint-every-steps 7"
    train(*options.split(), "--no-wait")
    full = next(preset.settings for preset in PRESETS if preset.key == "full")
    changes = {"loss": "ipo", "ties": "half", "max_prompt_tokens": 99, "checkpoint_every_steps": 7}
    assert RoundSettings(**Round.objects.get().configuration) == replace(full, deterministic=True, **changes)
    with pytest.raises(CommandError, match="--like: there are none called 'huge'. There are: 1, small, medium"):
        train("--like", "huge")


def test_it_takes_a_rule_by_the_fields_names(judged, policy, dora):
    options = "--since dates --first-day 2026-01-01 --last-day 2099-01-01 --agreement 67 --expansion best"
    more = "--pairs-per-prompt 6 --people-left-out dora --opinions majority --settlements aside"
    train(*options.split(), *more.split(), "--policies", "Tiny base", "--no-wait")
    assert Round.objects.get().dataset.made_by == Rule(
        since="dates",
        first_day=date(2026, 1, 1),
        last_day=date(2099, 1, 1),
        agreement=67,
        expansion="best",
        pairs_per_prompt=6,
        people_left_out=(dora.pk,),
        opinions="majority",
        settlements="aside",
        policies=(policy.pk,),
    )


def test_it_trains_on_a_dataset_that_there_is(project, judged, policy):
    dataset = current_dataset(project, rule=Rule(expansion="best"))
    train("--dataset", "1", "--no-wait")
    assert Round.objects.get().dataset == dataset
    with pytest.raises(CommandError, match="Plain answers has no dataset 3. Known: 1."):
        train("--dataset", "3")


def test_it_says_what_is_wrong_with_a_rule(judged, policy):
    with pytest.raises(CommandError, match="--overlap: Give a whole number from 1 to 1,000."):
        train("--overlap", "0")
    with pytest.raises(CommandError, match="--people-left-out: One of these is not to be had here."):
        train("--people-left-out", "nobody")
    with pytest.raises(CommandError, match="--first-day: “From” and “To” must both be given"):
        train("--since", "dates")
    assert not Round.objects.exists()


def test_it_follows_the_round_and_names_the_policy(judged, policy, monkeypatch):
    def done():
        Round.objects.update(policy=policy)
        Job.objects.filter(queue="training").update(status="succeeded", progress=5, total=5)

    monkeypatch.setattr(follow, "wait", done)
    assert train().splitlines()[1:] == [
        "round 1 of Plain answers: queued",
        "round 1 of Plain answers: succeeded, 5 of 5",
        "It made the policy “Tiny base”.",
    ]


def test_it_fails_with_the_rounds_error(judged, policy, monkeypatch):
    monkeypatch.setattr(follow, "wait", lambda: Job.objects.update(status="failed", error="No memory."))
    with pytest.raises(CommandError, match=r"^No memory\.$"):
        train()


def test_it_checks_like_the_page(judged, policy):
    with pytest.raises(CommandError, match="--learning-rate: 2 is 4,000 times the highest usual rate"):
        train("--learning-rate", "2")
    with pytest.raises(CommandError, match="--beta: Beta .* must be a number above 0, got -1.0."):
        train("--beta=-1")
    assert not Round.objects.exists()


def test_it_lists_what_there_is_for_an_unknown_name(judged, policy):
    with pytest.raises(CommandError, match="There is no project “plane”. Known: plain."):
        call_command("train_round", "plane")
    with pytest.raises(CommandError, match=rf"There is no policy “Tiny”. Known: Tiny base \({policy.pk}\)."):
        train("--from", "Tiny")


def test_without_pairs_it_says_what_to_do(project, policy):
    with pytest.raises(CommandError, match="Plain answers has no preference pair to train on. Judge some answers"):
        train()
