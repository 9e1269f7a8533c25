"""What a person is told of a run's metrics, and when."""

import pytest

from train.engine.watch import WINDOW, Watch


def step(number, chosen=0.0, rejected=-1.0, accuracy=0.5):
    return {
        "step": number,
        "loss": 0.5,
        "log_ratio/chosen": chosen,
        "log_ratio/rejected": rejected,
        "rewards/accuracies": accuracy,
    }


def evaluation(number, accuracy, half=0.05):
    return {
        "step": number,
        "eval_loss": 0.5,
        "eval_rewards/accuracies": accuracy,
        "eval_rewards/accuracies_low": accuracy - half,
        "eval_rewards/accuracies_high": accuracy + half,
    }


def told(*lines):
    watch = Watch()
    return [said for line in lines if (said := watch.see(line))]


START = step(0, rejected=0.0)


def test_both_sides_falling_is_told_once():
    (said,) = told(START, *(step(i, chosen=-0.05) for i in range(3 * WINDOW)))
    assert said.startswith("The chosen answers have become less likely together with the rejected ones")
    assert "by -0.048 and -0.950 nats per token, over the last 20 steps): likelihood displacement." in said


@pytest.mark.parametrize("fields", [{"chosen": 0.1}, {"chosen": -0.01}, {"chosen": -0.5, "rejected": 0.1}])
def test_one_side_falling_is_what_is_wanted(fields):
    assert told(START, *(step(i, **fields) for i in range(3 * WINDOW))) == []


def test_a_policy_that_begins_below_its_reference_has_not_fallen():
    assert told(*(step(i, chosen=-4.9, rejected=-5.0) for i in range(3 * WINDOW))) == []


def test_a_few_steps_say_nothing():
    assert told(START, *(step(i, chosen=-0.5) for i in range(WINDOW - 2))) == []


def overfit(held_out, training, half=0.05):
    lines = []
    for place, (accuracy, share) in enumerate(zip(held_out, training, strict=True)):
        lines += [step(WINDOW * place + i, accuracy=share) for i in range(WINDOW)]
        lines.append(evaluation(WINDOW * (place + 1), accuracy, half))
    return told(*lines)


def test_held_out_falling_while_training_rises_is_told_once():
    (said,) = overfit([0.6, 0.7, 0.62, 0.6], [0.6, 0.7, 0.9, 0.95])
    assert "fallen from 70.0% (step 40) to 62.0% while the training accuracy rose from 70.0% to 90.0%" in said


def test_both_falling_or_a_fall_within_the_noise_is_not_told():
    assert overfit([0.7, 0.6], [0.8, 0.7]) == []
    assert overfit([0.7, 0.6], [0.7, 0.9], half=0.25) == []
