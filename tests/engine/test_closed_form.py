"""DPO on a policy whose every answer can be listed: it becomes what theory says, pi_ref(y | x) exp(r / beta)."""

import math
from itertools import combinations, product
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.engine.tiny import make_config, make_loss
from train.engine.checkpoints import Checkpoints, Identity
from train.engine.config import TrainingConfig
from train.engine.groups import Pair
from train.engine.log_probs import score
from train.engine.memory import TokenBudget
from train.engine.output import Metrics
from train.engine.stop import StopRequest
from train.engine.tokens import Group, TokenSequence
from train.engine.training import Trainer

pytestmark = pytest.mark.integration

VOCABULARY = 5
PROMPTS = ([0, 1], [1, 2, 3])  # after [0] alone, attention could not tell [0] from [0, 0]
ANSWERS = [list(answer) for answer in product(range(VOCABULARY), repeat=2)]  # all that two tokens can say
BETA = 0.5
VOTES = 3000  # on each pair, where labels are sampled


def make_policy():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(True)


def log_probs_of(policy, prompt):
    """log pi(y | x) of all answers, shape (25,)."""
    rows = [TokenSequence(prompt, answer) for answer in ANSWERS]
    return score(policy, rows, budget=TokenBudget(4096, "cpu", print), dtype=torch.float32, stop=StopRequest()).double()


def labels(rewards, sampled):
    """A pair for every two answers, labelled by the model of Bradley and Terry: exactly, or by votes of people."""
    torch.manual_seed(1)
    for i, j in combinations(range(len(ANSWERS)), 2):
        p = torch.sigmoid(rewards[i] - rewards[j])
        yield Pair(i, j, float(torch.binomial(torch.tensor(float(VOTES)), p) / VOTES if sampled else p), 1.0)


@pytest.mark.parametrize(("sampled", "distance"), [(False, 0.005), (True, 0.02)])
def test_it_becomes_the_best_policy(tmp_path, sampled, distance):
    policy = make_policy()
    groups, best = [], []
    for prompt in PROMPTS:
        rewards = torch.randn(len(ANSWERS), generator=torch.Generator().manual_seed(len(prompt)))
        reference = log_probs_of(policy, prompt)
        rows = [TokenSequence(prompt, answer) for answer in ANSWERS]
        groups.append(Group(rows, list(labels(rewards, sampled)), reference=reference.tolist()))
        best.append(torch.softmax(reference + rewards.double() / BETA, 0))
        assert math.isclose(float(reference.exp().sum()), 1, abs_tol=1e-4)
    settings = TrainingConfig.from_dict(
        make_config(
            Path("/data"),
            method="full",
            lora=None,
            held_out=None,
            loss=make_loss(beta=BETA),
            learning_rate=3e-3,
            schedule="cosine",
            epochs=None,
            max_steps=400,
            groups_per_step=2,
            output=str(tmp_path),
        )
    )
    before = max(distances(policy, best))
    checkpoints = Checkpoints(tmp_path / "checkpoints", Identity(settings.to_dict(), {}))
    budget = TokenBudget(4096, "cpu", print)
    with Metrics(tmp_path / "metrics.jsonl") as metrics:
        metrics.begin()
        Trainer(policy, groups, [], settings, budget, metrics, checkpoints, StopRequest()).run()
    assert before > 0.3
    assert max(distances(policy, best)) < distance


def distances(policy, best):
    """Total variation distances from the best policy, by prompt."""
    return [
        float((log_probs_of(policy, prompt).exp() - wanted).abs().sum() / 2)
        for prompt, wanted in zip(PROMPTS, best, strict=True)
    ]
