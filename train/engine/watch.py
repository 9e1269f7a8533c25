"""What a person should be told of a run's metrics. A warning is a sentence, given once."""

from collections import deque
from typing import Any

# The mean over so many of the last steps is looked at.
WINDOW = 20
# Nats per token by which the chosen answers' log-ratio must have fallen: each token 2% less likely.
DISPLACED = -0.02


class Watch:
    """Looks at each line of the metrics in turn; what it says follows from the lines alone."""

    def __init__(self) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=WINDOW)
        self.start: dict[str, Any] | None = None  # the first step: a policy need not start at its reference
        self.best: tuple[float, float, int] | None = None  # held-out and training accuracy, step, where best
        self.said: list[str] = []

    def see(self, line: dict[str, Any]) -> str | None:
        """Take in a line and return the warning that it gives rise to, if any."""
        warning = None
        if "eval_rewards/accuracies" in line:
            warning = self._overfitting(line)
        elif line.get("loss") is not None:
            self.start = self.start or line
            self.recent.append(line)
            warning = self._displacement()
        if warning is not None:
            self.said.append(warning)
        return warning

    def _displacement(self) -> str | None:
        chosen, rejected = self._change("log_ratio/chosen"), self._change("log_ratio/rejected")
        already = any("less likely" in said for said in self.said)
        if already or len(self.recent) < WINDOW or chosen > DISPLACED or rejected > DISPLACED:
            return None
        return (
            "The chosen answers have become less likely together with the rejected ones (by "
            f"{chosen:.3f} and {rejected:.3f} nats per token, over the last {WINDOW} steps): likelihood displacement. "
            "The policy learns what to avoid more than what to say. A higher beta, a lower learning rate or an "
            "NLL term holds them up."
        )

    def _overfitting(self, line: dict[str, Any]) -> str | None:
        held_out, training = line["eval_rewards/accuracies"], self._mean("rewards/accuracies")
        if self.best is None or held_out > self.best[0]:
            self.best = (held_out, training, line["step"])
            return None
        best, training_then, step = self.best
        # A standard error, from the 95% interval's width.
        noise = (line["eval_rewards/accuracies_high"] - line["eval_rewards/accuracies_low"]) / (2 * 1.96)
        already = any("held-out accuracy" in said for said in self.said)
        if already or best - held_out <= noise or training <= training_then:
            return None
        return (
            f"The held-out accuracy has fallen from {best:.1%} (step {step}) to {held_out:.1%} while the training "
            f"accuracy rose from {training_then:.1%} to {training:.1%}: the policy begins to learn these answers by "
            "heart. Train fewer epochs, with a lower learning rate, or on more judgements."
        )

    def _change(self, name: str) -> float:
        return self._mean(name) - ((self.start or {}).get(name) or 0.0)

    def _mean(self, name: str) -> float:
        values = [line[name] for line in self.recent if line.get(name) is not None]
        return sum(values) / len(values) if values else 0.0
