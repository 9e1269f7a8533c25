import pytest

from tests.train.conftest import step_line
from train.charts import engine_charts, likelihood_finding, metrics_of, round_charts, series, smooth, step_labels


def charts(rows, *earlier):
    return round_charts(metrics_of(rows, earlier), beta=0.1)


def test_smooth_is_a_mean_that_forgets():
    """With weight 0.5: 1; (0.5·0.5·1 + 0.5·3) / 0.75 = 7/3."""
    assert smooth([(1, 1.0), (2, 3.0)], 0.5) == [(1, 1.0), (2, pytest.approx(7 / 3))]
    assert [value for _, value in smooth([(step, 4.0) for step in range(5)])] == pytest.approx([4.0] * 5)


def test_series_leaves_out_what_is_no_number():
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}, {"step": 3}]
    assert series(rows, "loss") == [(1, 0.5)]


def test_the_present_step_is_named_only_where_it_has_room():
    assert [label.text for label in step_labels(60, 100)] == ["step 0", "60", "100"]
    assert [label.text for label in step_labels(95, 1000)] == ["step 0", "1,000"]


def test_there_is_no_chart_before_the_first_step():
    assert metrics_of([{"stage": "loading", "done": 1, "total": 1}]) is None


def test_the_titles_say_what_was_found():
    loss, accuracy, margin, log_ratio, likelihood = charts([step_line(step) for step in range(1, 6)])
    assert loss.title.startswith("Loss fell to 0.6")
    assert loss.quantity == "smoothed, from 0.683"
    assert accuracy.title == "It orders 75% of the pairs as people did"
    assert margin.title == "Chosen answers are ahead by 0.16"
    assert log_ratio.title == "Chosen answers got more likely, rejected ones less"
    assert likelihood.title == "Chosen answers are the likelier ones"
    assert [mark.label for mark in likelihood.marks] == ["chosen −140", "rejected −150"]


def test_held_out_pairs_are_rings_and_lead_the_title():
    rows = [step_line(step) for step in range(1, 11)]
    rows.append(
        {
            "step": 10,
            "steps": 10,
            "eval_loss": 0.6,
            "eval_rewards/accuracies": 0.66,
            "eval_rewards/margins": 0.2,
            "eval_rewards/accuracies_low": 0.62,
            "eval_rewards/accuracies_high": 0.7,
        }
    )
    loss, accuracy, margin, *_ = charts(rows)
    assert [(bar.low, bar.high) for bar in accuracy.bars] == [("38%", "30%")]
    assert accuracy.title == "It orders 66% of the held-out pairs as people did"
    assert accuracy.quantity == "95% interval 62% to 70%; training 75%, smoothed; chance is 50%"
    assert loss.quantity.endswith("held out 0.600")
    assert [mark.label for mark in margin.marks if mark.kind == "p hollow"] == ["0.20"]
    assert "Held out: 66%." in accuracy.sentence


@pytest.mark.parametrize(
    ("chosen", "rejected", "finding"),
    [
        (-0.1, -0.4, "All answers got less likely, rejected ones most"),
        (-0.4, -0.1, "All answers got less likely, chosen ones most"),
        (0.3, 0.1, "All answers got more likely, chosen ones most"),
        (0.1, -0.1, "Chosen answers got more likely, rejected ones less"),
        (-0.1, 0.1, "Chosen answers got less likely, rejected ones more"),
        (0.001, -0.002, "The answers are as likely as before"),
    ],
)
def test_the_finding_about_likelihood(chosen, rejected, finding):
    assert likelihood_finding([step_line(1, **{"rewards/chosen": chosen, "rewards/rejected": rejected})]) == finding


def test_a_step_without_a_finite_loss_is_passed_over():
    loss, *_ = charts([step_line(1), step_line(2, loss=None), step_line(3)])
    assert loss.title.startswith("Loss fell") or loss.title.startswith("Loss is")


def test_log_ratios_are_the_rewards_without_beta():
    rows = [step_line(step, **{"rewards/chosen": 0.2, "rewards/rejected": -0.3}) for step in range(1, 4)]
    log_ratio = charts(rows)[3]
    assert [mark.label for mark in log_ratio.marks] == ["chosen 2.0", "rejected −3.0"]
    assert "in nats, at step 3: chosen 2.0, rejected −3.0." in log_ratio.sentence


def test_earlier_rounds_are_drawn_behind_as_far_as_this_one_goes():
    earlier = [step_line(step, steps=10, loss=step / 10) for step in range(1, 11)]
    alone, *_ = charts([step_line(step, steps=4) for step in range(1, 5)])
    over, *_ = charts([step_line(step, steps=4) for step in range(1, 5)], earlier, earlier)
    assert [line.kind for line in alone.lines] == ["raw", "l"]
    assert [line.kind for line in over.lines] == ["old", "old", "raw", "l"]
    assert len(over.lines[0].path.split()) == 2 * 4
    assert over.title == alone.title


def test_how_it_runs():
    rows = [step_line(step) for step in range(1, 6)]
    gradient, rate, speed, memory = engine_charts(metrics_of(rows))
    assert gradient.title.startswith("The gradient’s norm is near ")
    assert rate.title.startswith("The learning rate is ")
    assert speed.title.endswith(" tokens a second")
    assert memory.title.endswith(" GB of memory at most")


def test_a_rate_of_a_millionth_has_labels_that_differ():
    rows = [step_line(step, learning_rate=rate) for step, rate in enumerate((2e-7, 5e-7, 1e-7), start=1)]
    _, rate, *_ = engine_charts(metrics_of(rows))
    assert rate.ticks == ("5e-7", "2.5e-7", "0")
    assert rate.title == "The learning rate is 1e-7"


def test_what_was_not_measured_has_no_chart():
    rows = [{key: value for key, value in step_line(1).items() if key != "peak_memory_bytes"}]
    assert len(engine_charts(metrics_of(rows))) == 3
