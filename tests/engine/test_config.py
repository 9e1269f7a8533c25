"""A wrong configuration is told with the field, the value that came and what is allowed."""

import json
from pathlib import Path

import pytest

from tests.engine.tiny import make_config, make_loss
from train.engine.config import LOSS_NAMES, PolicyConfig, TrainingConfig
from train.engine.errors import ConfigError
from train.engine.losses import PAIR_LOSSES


def config(**changes):
    return TrainingConfig.from_dict(make_config(Path("/data"), **changes))


def test_it_works():
    made = config()
    assert TrainingConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.loss.beta == 0.1
    assert made.reference_is_start


def test_a_reference_that_is_the_start_is_known_as_such():
    assert config(reference={"model": "/data/model"}).reference_is_start
    assert not config(reference={"model": "/data/model", "adapter": "/data/adapter"}).reference_is_start
    assert config(reference={"model": "/other"}).reference == PolicyConfig(model="/other")


def test_module_names_come_back_from_json():
    made = config(lora={"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]})
    assert TrainingConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_loss_names_are_those_of_the_losses():
    assert set(LOSS_NAMES) == {*PAIR_LOSSES, "plackett_luce"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lerning_rate": 1}, "`lerning_rate` is not a field of the configuration (it came with 1). Allowed are:"),
        ({"loss": make_loss(beta=-0.1)}, "`loss.beta` must be a number above 0, got -0.1. Typical are 0.05 to 0.5,"),
        ({"loss": make_loss(beta=float("nan"))}, "`loss.beta` must be a number above 0, got nan."),
        ({"loss": make_loss(gamma=2)}, "`loss.gamma` is not a field of the configuration (it came with 2)."),
        ({"loss": {}}, "`loss.name` is missing. It has no default: please give it."),
        ({"loss": None}, "`loss` must be an object with at least `name` and `beta`, got null."),
        ({"loss": 3}, "`loss` must be a JSON object, got 3."),
        ({"loss": make_loss(name="orpo")}, '`loss.name` must be "sigmoid" or "sigmoid_norm" or'),
        ({"loss": make_loss(ties="all")}, '`loss.ties` must be "ignore" or "half", got \'all\'.'),
        ({"loss": make_loss(nll_weight=-1)}, "`loss.nll_weight` must be a number"),
        ({"loss": make_loss(name="ipo", label_smoothing=0.1)}, "`loss.label_smoothing` is 0.1, but the loss 'ipo' has"),
        (
            {"loss": make_loss(name="robust")},
            "`loss.label_smoothing`, the probability that a vote is wrong, must be above 0",
        ),
        (
            {"loss": make_loss(label_smoothing=0.5)},
            "`loss.label_smoothing` must be a number at least 0 and below 0.5, got 0.5.",
        ),
        ({"method": "dora"}, '`method` must be "lora" or "full", got \'dora\'.'),
        ({"method": "full"}, '`lora` must be null when `method` is "full"'),
        ({"lora": None}, '`lora` is missing. With `method` "lora" give its `rank` and `alpha`.'),
        ({"method": "full", "lora": None, "adapter": "/a"}, '`method` "full" cannot start from an adapter'),
        (
            {"lora": {"rank": 0, "alpha": 8, "target_modules": "all-linear"}},
            "`lora.rank` must be a whole number from 1 to 512, got 0.",
        ),
        ({"epochs": 1.5}, "`epochs` must be a whole number of 1 or more, got 1.5."),
        ({"epochs": None}, "`epochs` and `max_steps` are both missing. Give one of them, or both."),
        ({"epochs": True}, "`epochs` must be a whole number of 1 or more, got True."),
        ({"seed": -1}, "`seed` must be a whole number from 0 to"),
        ({"data": ""}, "`data` must be a path, got ''."),
        ({"reference": {"model": 3}}, "`reference.model` must be a path, got 3."),
        ({"dtype": "float16"}, '`dtype` must be "float32" or "bfloat16", got \'float16\'.'),
        ({"evaluate_every_steps": 2, "held_out": None}, "`evaluate_every_steps` is given but `held_out` is null"),
    ],
)
def test_it_rejects_a_wrong_field(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    assert sentence in str(caught.value)


def test_what_decides_the_result_must_be_given():
    names = "model data output loss method learning_rate schedule warmup_share weight_decay max_grad_norm "
    names += "groups_per_step max_prompt_tokens max_completion_tokens seed dtype loss.name loss.beta loss.votes "
    names += "loss.reduction loss.ties lora.rank lora.alpha lora.target_modules"
    for name in names.split():
        values = json.loads(json.dumps(make_config(Path("/data"))))
        *outer, field = name.split(".")
        del (values[outer[0]] if outer else values)[field]
        with pytest.raises(ConfigError, match=f"`{name}` is missing"):
            TrainingConfig.from_dict(values)


def test_it_rejects_a_file_that_is_no_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config.json is not valid JSON"):
        TrainingConfig.load(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"missing.json cannot be read: No such file"):
        TrainingConfig.load(tmp_path / "missing.json")
