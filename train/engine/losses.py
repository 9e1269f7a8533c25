"""The losses: tensors and numbers in, tensors out.

A group has K completions and one log-ratio per completion,

    rho_i = log pi_theta(y_i | x) - log pi_ref(y_i | x),    nats, summed over the completion's tokens.

A loss is a function l(z) of the scaled difference z = beta * (rho_i - rho_j) of a pair (i over j).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F


def sigmoid_loss(z: torch.Tensor) -> torch.Tensor:
    """Return -log sigmoid(z) elementwise, in nats: the DPO loss where the label is certain.

    Source: Rafailov et al. 2023, equation 7, https://arxiv.org/abs/2305.18290

    Args:
        z: beta * (rho_i - rho_j) for answer i preferred over answer j. Any shape, no unit.
    """
    return -F.logsigmoid(z)


def conservative_label(p: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Return the label p where each vote is wrong with the given probability: conservative DPO.

    With p = 1 the soft loss becomes (1 - e) l(z) + e l(-z).

    Source: Mitchell 2023, "A note on DPO with noisy preferences", equation 3,
    https://ericmitchell.ai/cdpo.pdf

    Args:
        p: probability that i is better than j, 0 to 1. Shape (P,).
        label_smoothing: e, from 0 to below 0.5, no unit.
    """
    return p * (1 - label_smoothing) + (1 - p) * label_smoothing


def soft_pair_losses(
    log_ratios: torch.Tensor,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    p: torch.Tensor,
    *,
    beta: float,
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return the loss of each pair from the completions' log-ratios, shape (P,).

    l_ij = p_ij l(beta (rho_i - rho_j)) + (1 - p_ij) l(beta (rho_j - rho_i)); each completion's log-ratio
    serves every pair that it is part of. With p = 1 and l = `sigmoid_loss` this is equation 7 of
    Rafailov et al. 2023, https://arxiv.org/abs/2305.18290

    Args:
        log_ratios: rho, nats, summed over tokens. Shape (R,).
        chosen: index of completion i in `log_ratios`. Shape (P,), integer.
        rejected: index of completion j. Shape (P,), integer.
        p: probability that i is better than j, 0 to 1. Shape (P,).
        beta: strength of the pull towards the reference. Above 0, no unit.
        loss: the function l.

    Raises:
        ValueError: beta is 0 or less.
    """
    if beta <= 0:
        raise ValueError(f"beta must be above 0, got {beta}.")
    z = beta * (log_ratios[chosen] - log_ratios[rejected])  # (P,)
    return p * loss(z) + (1 - p) * loss(-z)


LOSSES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"sigmoid": sigmoid_loss}
