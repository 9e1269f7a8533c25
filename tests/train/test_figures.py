from datetime import UTC, datetime, timedelta

import pytest

from annotate.judging import Choice, record
from annotate.models import Comparison, Revision
from jobs.models import Job
from tests.train.conftest import step_line
from train.datasets import freeze
from train.figures import MOST_ROWS, about, held_out_accuracy, pair_figures, seconds_left, since, stages, watch
from train.models import Round


def test_pair_figures_count_what_counts(project, judged, bob):
    figures = pair_figures(project)
    assert (figures.train, figures.held_out, figures.prompts, figures.people) == (3, 1, 3, 1)
    assert (figures.new, figures.last_round) == (3, None)
    first = Comparison.objects.order_by("pk").first()
    record(bob, first, Choice(Revision.Kind.WITHDRAWN), shown=[0, 1], client_key="back")
    assert pair_figures(project).train == 2


def test_new_pairs_are_those_since_the_last_round(project, launched, judge, sampled, add_prompts):
    assert pair_figures(project).new == 0
    *_, fifth = add_prompts("Five?")
    fifth.side = "train"
    fifth.save()
    judge(*sampled({fifth: ["better", "worse"]}))
    figures = pair_figures(project)
    assert (figures.train, figures.new, figures.last_round) == (4, 1, 1)


INTERVAL = {"eval_rewards/accuracies_low": 0.62, "eval_rewards/accuracies_high": 0.7}


def test_held_out_accuracy_has_its_interval(launched):
    assert held_out_accuracy(launched) == ""
    launched.summary = {"eval_metrics": {"eval_rewards/accuracies": 0.66, **INTERVAL}}
    assert held_out_accuracy(launched) == "66% (62 to 70)"
    launched.summary = {"eval_metrics": {}}
    assert held_out_accuracy(launched) == ""


EVALUATED = {"step": 10, "steps": 10, "eval_loss": 0.6}


@pytest.mark.parametrize(
    ("last", "now"),
    [
        ({}, "Reference log-probabilities"),
        ({"stage": "reference", "done": 1, "total": 8}, "Reference log-probabilities"),
        ({"stage": "training", "done": 0, "total": 10}, "Training"),
        (step_line(3), "Training"),
        ({**EVALUATED, "step": 5}, "Training"),
        ({"stage": "evaluating", "done": 1, "total": 8}, "Held-out pairs"),
        (EVALUATED, "Policy saved"),
        ({"stage": "saving", "done": 0, "total": 1}, "Policy saved"),
    ],
)
def test_the_stage_follows_from_the_last_line(launched, last, now):
    freeze(launched.dataset)
    launched.status = Job.Status.RUNNING
    assert [stage.name for stage in stages(launched, last) if stage.state == "now"] == [now]


def test_stages_before_freezing_and_after_success(launched):
    assert stages(launched, {})[0].state == "now"
    launched.status = Job.Status.SUCCEEDED
    assert {stage.state for stage in stages(launched, {})} == {"done"}


def test_watch_reads_only_the_newest_attempt(launched, add_metrics):
    add_metrics(launched, step_line(1), step_line(2))
    launched.attempt = 1
    add_metrics(launched, step_line(1))
    seen = watch(launched)
    assert (seen.done, seen.total) == (1, 10)
    assert seen.log.startswith("step 1/10 loss 0.6831")
    assert "\n" not in seen.log


def test_watch_thins_a_long_round_but_keeps_its_end(launched, add_metrics):
    steps = 2 * MOST_ROWS + 7
    add_metrics(launched, *(step_line(step, steps) for step in range(1, steps + 1)), EVALUATED)
    seen = watch(launched)
    assert seen.last_step["step"] == steps
    assert seen.charts[0].quantity.endswith("held out 0.600")


def test_a_queued_round_says_what_it_waits_for(launched):
    assert watch(launched).sentence == "Waiting for a training worker."
    launched.message = "Its worker was silent for 30 seconds. Queued again; nothing is lost."
    assert watch(launched).sentence == launched.message


def test_time_left_is_that_of_the_other_steps():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    began = now - timedelta(seconds=60)
    assert seconds_left((began, 1), 10, 40, now) == 200
    assert seconds_left((began, 21), 30, 40, now) == pytest.approx(200 / 3)  # went on from step 20
    assert seconds_left((now, 1), 2, 40, now) is None
    assert seconds_left(None, 1, 40, now) is None
    assert seconds_left((began, 1), 40, 40, now) is None


def test_time_left_of_a_resumed_round_is_of_its_own_steps(launched, add_metrics):
    add_metrics(
        launched, *(step_line(step, 40) for step in range(1, 21)), {"stage": "training", "done": 20, "total": 40}
    )
    assert since(launched) is None
    add_metrics(launched, step_line(21, 40), step_line(22, 40))
    assert since(launched)[1] == 21


def test_durations_as_people_say_them():
    assert [about(seconds) for seconds in (20, 600, 9000)] == ["less than a minute", "about 10 min", "about 2.5 h"]


def test_resuming_starts_the_watch_anew(launched, add_metrics):
    add_metrics(launched, step_line(9))
    Job.objects.filter(pk=launched.pk).update(attempt=1, status=Job.Status.RUNNING)
    assert watch(Round.objects.get(pk=launched.pk)).charts == []
