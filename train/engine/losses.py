"""The losses: tensors and numbers in, tensors out.

A group has K completions and one log-ratio per completion,

    rho_i = log pi_theta(y_i | x) - log pi_ref(y_i | x),    nats, summed over the completion's tokens.

A pair loss is a function l of the difference delta = rho_i - rho_j of a pair (i over j); per-token losses take
the log-ratios divided by their completions' lengths instead. `docs/dpo.md` tells how they belong together.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F


def sigmoid_loss(delta: torch.Tensor, beta: float) -> torch.Tensor:
    """Return -log sigmoid(beta delta) elementwise, in nats: DPO.

    Source: Rafailov et al. 2023, equation 7, https://arxiv.org/abs/2305.18290

    Args:
        delta: rho_i - rho_j for answer i preferred over answer j, nats. Any shape.
        beta: strength of the pull towards the reference. Above 0, no unit.
    """
    return -F.logsigmoid(beta * delta)


def robust_loss(delta: torch.Tensor, beta: float, label_smoothing: float) -> torch.Tensor:
    """Return DPO's loss with the bias of wrong votes taken out: ((1 - e) l(delta) - e l(-delta)) / (1 - 2e).

    Its mean over votes of which a share e is wrong is DPO's loss on right ones. It may be negative.

    Source: Chowdhury et al. 2024, "Provably Robust DPO", section 3, https://arxiv.org/abs/2403.00409

    Args:
        delta: as in `sigmoid_loss`.
        beta: as in `sigmoid_loss`.
        label_smoothing: e, the probability that a vote is wrong, from 0 to below 0.5.
    """
    right, wrong = sigmoid_loss(delta, beta), sigmoid_loss(-delta, beta)
    return ((1 - label_smoothing) * right - label_smoothing * wrong) / (1 - 2 * label_smoothing)


def hinge_loss(delta: torch.Tensor, beta: float) -> torch.Tensor:
    """Return max(0, 1 - beta delta) elementwise.

    Source: Zhao et al. 2023, SLiC-HF, https://arxiv.org/abs/2305.10425, on log-ratios as in Liu et al. 2023,
    RSO, https://arxiv.org/abs/2309.06657

    Args:
        delta: as in `sigmoid_loss`.
        beta: one over the margin at which a pair no longer counts, in 1 / nats. Above 0.
    """
    return F.relu(1 - beta * delta)


def ipo_loss(delta: torch.Tensor, beta: float) -> torch.Tensor:
    """Return (delta - 1 / (2 beta)) ** 2 elementwise, in nats squared: IPO.

    Source: Azar et al. 2023, equation 17 (where beta is called tau), https://arxiv.org/abs/2310.12036

    Args:
        delta: as in `sigmoid_loss`.
        beta: the difference is drawn to 1 / (2 beta) nats. Above 0.
    """
    return (delta - 1 / (2 * beta)) ** 2


@dataclass(frozen=True)
class PairLoss:
    """A loss of one pair by name."""

    function: Callable[..., torch.Tensor]  # of delta and beta, of `label_smoothing` too where it `is_robust`
    per_token: bool = False  # takes log-ratios divided by their completions' lengths
    is_robust: bool = False


PAIR_LOSSES = {
    "sigmoid": PairLoss(sigmoid_loss),
    # Lambert et al. 2024, Tulu 3, https://arxiv.org/abs/2411.15124
    "sigmoid_norm": PairLoss(sigmoid_loss, per_token=True),
    "robust": PairLoss(robust_loss, is_robust=True),
    "hinge": PairLoss(hinge_loss),
    "ipo": PairLoss(ipo_loss),
    # As TRL and others do it: the authors of IPO confirmed the mean over tokens to them.
    "ipo_norm": PairLoss(ipo_loss, per_token=True),
}


def conservative_label(p: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Return the label p where each vote is wrong with the given probability: conservative DPO.

    With p = 1 the soft loss becomes (1 - e) l(delta) + e l(-delta).

    Source: Mitchell 2023, "A note on DPO with noisy preferences", equation 3,
    https://ericmitchell.ai/cdpo.pdf

    Args:
        p: probability that i is better than j, 0 to 1. Shape (P,).
        label_smoothing: e, from 0 to below 0.5, no unit.
    """
    return p * (1 - label_smoothing) + (1 - p) * label_smoothing


def soft_pair_losses(
    log_ratios: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    p: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return the loss of each pair from the completions' log-ratios, shape (P,).

    l_ij = p_ij l(rho_i - rho_j) + (1 - p_ij) l(rho_j - rho_i); each completion's log-ratio serves every pair
    that it is part of. With p = 1 and l = `sigmoid_loss` this is equation 7 of Rafailov et al. 2023,
    https://arxiv.org/abs/2305.18290

    Args:
        log_ratios: rho, nats, summed over tokens or divided by the number of tokens. Shape (R,).
        first: index of completion i in `log_ratios`. Shape (P,), integer.
        second: index of completion j. Shape (P,), integer.
        p: probability that i is better than j, 0 to 1. Shape (P,).
        loss: the function l of the difference.
    """
    delta = log_ratios[first] - log_ratios[second]  # (P,)
    return p * loss(delta) + (1 - p) * loss(-delta)


def plackett_luce_loss(
    scores: torch.Tensor, tiers: Sequence[Sequence[int]], unordered: Collection[int]
) -> torch.Tensor:
    """Return the negative log-likelihood of one ranking under Plackett and Luce's model, a scalar in nats.

    Of the answers that are left, answer i is taken next with probability exp(s_i) / sum of exp(s). Answers of an
    unordered tier were not compared, so their orders' probabilities are summed; of the last tier they sum to 1,
    which makes best of K -log softmax(s)[winner] and best M of K the likelihood of the first M places. Answers of
    a tie are as likely in every order, so the losses of their orders are averaged, as half a vote either way is.

    Sources: Plackett 1975, "The Analysis of Permutations"; on rewards beta rho, Rafailov et al. 2023, appendix A.3,
    https://arxiv.org/abs/2305.18290

    Args:
        scores: s = beta rho. Shape (R,).
        tiers: indexes into `scores`, best tier first.
        unordered: indexes of the tiers whose members were not compared; the other tiers of several are ties.
    """
    loss = scores.new_zeros(())
    for place, tier in enumerate(tiers):
        below = [index for later in tiers[place + 1 :] for index in later]
        rest = torch.logsumexp(scores[below], 0) if below else scores.new_full((), -math.inf)
        if place not in unordered or len(tier) == 1:
            loss = loss + tie_loss(scores[list(tier)], rest)
        elif below:
            loss = loss - log_any_order(scores[list(tier)], rest)
    return loss


def tie_loss(scores: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Return the mean over the orders of m answers of -log P(this order, and all before the others), a scalar.

    In a random order each set of a answers is what is left at some place with probability 1 / (m choose a),
    so the mean needs the 2 ** m sets and not the m! orders.

    Args:
        scores: of the m answers, shape (m,).
        rest: logsumexp of the scores of all answers below them, a scalar; -inf is none.
    """
    m = len(scores)
    loss = -scores.sum()
    for size in range(1, m + 1):
        sets = torch.tensor(list(combinations(range(m), size)), device=scores.device)  # (m choose size, size)
        left = torch.logaddexp(torch.logsumexp(scores[sets], 1), rest)  # (m choose size,)
        loss = loss + left.mean()
    return loss


def log_any_order(scores: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Return log P(m answers, in whatever order, come before the others), a scalar.

    By the last answer taken: P(A) = sum over i in A of P(A without i) P(i is next), over the 2 ** m sets A.

    Args:
        scores: of the m answers, shape (m,).
        rest: logsumexp of the scores of all answers below them, a scalar, finite.
    """
    m = len(scores)
    log_taken = {frozenset[int](): scores.new_zeros(())}
    for size in range(1, m + 1):
        for taken in map(frozenset, combinations(range(m), size)):
            ways = []
            for last in sorted(taken):
                left = [i for i in range(m) if i not in taken or i == last]
                denominator = torch.logaddexp(torch.logsumexp(scores[left], 0), rest)
                ways.append(log_taken[taken - {last}] + scores[last] - denominator)
            log_taken[taken] = torch.logsumexp(torch.stack(ways), 0)
    return log_taken[frozenset(range(m))]


def nll_per_token(log_probs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return -log pi_theta(y | x) / |y| of each completion, nats per token, shape (R,).

    Added to the loss with a weight it holds the chosen answers' likelihood up.

    Sources: Pang et al. 2024, https://arxiv.org/abs/2404.19733; weight 0.2 in Llama 3, section 4.1.4,
    https://arxiv.org/abs/2407.21783

    Args:
        log_probs: log pi_theta(y | x), nats, summed over tokens. Shape (R,).
        lengths: tokens of each completion. Shape (R,).
    """
    return -log_probs / lengths
