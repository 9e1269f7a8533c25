"""What a completion's log-probability depends on, and on what it does not."""

import pytest
import torch

from tests.engine.tiny import make_model
from train.engine.errors import ModelError
from train.engine.log_probs import collate, score, sequence_log_probs
from train.engine.memory import TokenBudget
from train.engine.models import check_logits
from train.engine.stop import StopRequest
from train.engine.tokens import TokenSequence

FLOAT32 = {"dtype": torch.float32}
ROWS = [
    TokenSequence([1, 20, 21, 22], [30, 31, 2]),
    TokenSequence([1, 20, 21, 22], [40, 41, 42, 43, 44, 2]),
    TokenSequence([1, 25], [2]),
]


@pytest.fixture(scope="module")
def model():
    return make_model()


def plain_log_prob(model, sequence):
    """Log-softmax over everything, token by token."""
    logits = model(input_ids=torch.tensor([sequence.prompt + sequence.completion])).logits[0].double()
    log_probs = logits.log_softmax(1)
    first = len(sequence.prompt)
    return sum(log_probs[first + i - 1, token].item() for i, token in enumerate(sequence.completion))


def test_the_label_shift_and_the_padding():
    """Rows of 7, 10 and 3 tokens, padded to 10: row 0 predicts from position 3, row 1 from 13, row 2 from 21."""
    batch = collate(ROWS, torch.device("cpu"))
    assert batch["input_ids"][0].tolist() == [1, 20, 21, 22, 30, 31, 2, 0, 0, 0]
    assert batch["attention_mask"].sum(1).tolist() == [7, 10, 3]
    assert batch["positions"].tolist() == [3, 4, 5, 13, 14, 15, 16, 17, 18, 21]
    assert batch["targets"].tolist() == [30, 31, 2, 40, 41, 42, 43, 44, 2, 2]


def test_it_is_the_sum_over_the_answers_tokens(model):
    found = sequence_log_probs(model, ROWS, **FLOAT32).tolist()
    assert found == pytest.approx([plain_log_prob(model, row) for row in ROWS], abs=1e-5)


def test_padding_and_other_answers_change_nothing(model):
    together = sequence_log_probs(model, ROWS, **FLOAT32)
    alone = torch.cat([sequence_log_probs(model, [row], **FLOAT32) for row in ROWS])
    turned = sequence_log_probs(model, ROWS[::-1], **FLOAT32).flip(0)
    assert (together - alone).abs().max() < 1e-5
    assert (together - turned).abs().max() < 1e-5


def test_the_end_token_counts_and_the_prompt_does_not(model):
    whole = TokenSequence([1, 20], [30, 31, 2])
    parts = [TokenSequence([1, 20], [30]), TokenSequence([1, 20, 30], [31]), TokenSequence([1, 20, 30, 31], [2])]
    sums = sequence_log_probs(model, parts, **FLOAT32).sum().item()
    assert sequence_log_probs(model, [whole], **FLOAT32).item() == pytest.approx(sums, abs=1e-5)


@pytest.mark.parametrize("chunk_tokens", [1, 3, 100])
def test_the_chunk_size_changes_neither_values_nor_gradients(model, chunk_tokens):
    model.requires_grad_(True)
    weights = torch.tensor([1.0, -0.5, 2.0])
    results = []
    for size in (chunk_tokens, 4):
        model.zero_grad()
        log_probs = sequence_log_probs(model, ROWS, chunk_tokens=size, **FLOAT32)
        (log_probs * weights).sum().backward()
        results.append((log_probs.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    model.zero_grad()
    assert torch.allclose(results[0][0], results[1][0], atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_no_tensor_of_tokens_times_vocabulary_is_kept(model):
    kept = []

    def keep(tensor):
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        sequence_log_probs(model.requires_grad_(True), ROWS, **FLOAT32)
    assert kept
    # 272 is the vocabulary; the LM head's own weight is kept, (272, 32).
    assert not [shape for shape in kept if 272 in shape and shape != (272, 32) and shape != (32, 272)]


def test_score_gives_the_rows_back_in_their_order(model):
    scored = score(model, ROWS, budget=TokenBudget(10, "cpu", print), stop=StopRequest(), **FLOAT32)
    assert scored.tolist() == pytest.approx([plain_log_prob(model, row) for row in ROWS], abs=1e-5)
    assert not scored.requires_grad


@pytest.mark.parametrize(
    ("name", "value"), [("logit_scale", 0.5), ("logits_scaling", 4), ("final_logit_softcapping", 2)]
)
def test_it_refuses_an_architecture_whose_logits_it_does_not_know(name, value):
    """This Llama ignores the setting that `head_logits` obeys, as an unknown model's own would be."""
    model = make_model()
    check_logits(model)
    setattr(model.config, name, value)
    with pytest.raises(ModelError, match="changes its logits in a way that this trainer does not know"):
        check_logits(model)
