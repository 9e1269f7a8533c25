"""Blind A/Bs drawn with a known truth."""

import numpy as np


def drawn_scores(draw, prompts: int, each: int, rate: float, *, ties: float = 0.1, correlation: float = 0.2):
    """Return (prompt, score) of comparisons with this true win rate; two of one prompt correlate as said.

    With probability √correlation a comparison repeats what its prompt says, else it is drawn by itself.
    """
    shares = [1 - rate - ties / 2, ties, rate - ties / 2]
    n = prompts * each
    of_prompt = np.repeat(draw.choice([0.0, 0.5, 1.0], prompts, p=shares), each)
    alone = draw.choice([0.0, 0.5, 1.0], n, p=shares)
    return np.repeat(np.arange(prompts), each), np.where(draw.random(n) < np.sqrt(correlation), of_prompt, alone)
