import pytest

from tests.train.conftest import step_line
from train.charts import likelihood_finding, round_charts, series, smooth, step_labels


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
    assert round_charts([{"stage": "loading", "done": 1, "total": 1}]) == []


def test_the_titles_say_what_was_found():
    loss, accuracy, margin, likelihood = round_charts([step_line(step) for step in range(1, 6)])
    assert loss.title.startswith("Loss fell to 0.6")
    assert loss.quantity == "smoothed, from 0.683"
    assert accuracy.title == "It orders 75% of the pairs as people did"
    assert margin.title == "Chosen answers are ahead by 0.16"
    assert likelihood.title == "Chosen answers got more likely, rejected ones less"
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
    loss, accuracy, margin, _ = round_charts(rows)
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
    charts = round_charts([step_line(1), step_line(2, loss=None), step_line(3)])
    assert charts[0].title.startswith("Loss fell") or charts[0].title.startswith("Loss is")
