"""What a rule would give now: counts, and pairs drawn at random, while somebody chooses."""

import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from annotate.models import Comparison, Revision
from generation.models import Completion
from projects.models import Project, Prompt
from train.counting import Counted, Decided, Lost
from train.datasets import by_now, counted_in, last_round
from train.rules import Rule

MOST_READ = 10_000  # revisions read for the counts: of more, every so manieth prompt stands for the others
SAMPLES = 3


@dataclass(frozen=True)
class SamplePair:
    """A pair to look at. `share` is that of the votes for the chosen answer, 0 to 1."""

    prompt: str
    chosen: str
    rejected: str
    share: float


@dataclass
class Preview:
    """What a rule gives of all that is judged by now. Comparisons and pairs are those to train on, but `held_out`."""

    judged: int = 0  # comparisons
    lost: Counter[str] = field(default_factory=Counter)  # comparisons without a pair, by Lost
    comparisons: int = 0  # with a pair
    pairs: int = 0
    capped: int = 0  # pairs over the most for a prompt
    new: int = 0  # pairs of comparisons judged since the last round's dataset
    held_out: int = 0  # pairs to measure with
    prompts: int = 0
    people: int = 0  # who judged the pairs
    last_round: int | None = None  # its number
    one_in: int = 1  # above 1, only one prompt of so many was looked at, and all but `people` is a projection
    samples: list[SamplePair] = field(default_factory=list)

    def where_the_others_went(self) -> list[tuple[str, int]]:
        """Return why comparisons give no pair, and how many, in the order in which that is asked."""
        return [(str(reason.label), self.lost[reason]) for reason in Lost if self.lost[reason]]


def preview(project: Project, rule: Rule, draw: int = 0) -> Preview:
    """Count what the rule gives now. `draw` is the seed of the pairs that are shown.

    Some MOST_READ revisions are read at most, whatever the size of the project.

    Raises:
        NothingToTrainOn: the rule begins with the last round, and there is none.
    """
    dataset, last = by_now(project, rule), last_round(project)
    one_in = max(1, math.ceil(Revision.objects.filter(project=project).count() / MOST_READ))
    judged = list(counted_in(dataset, Prompt.Side.TRAIN, one_in))
    given = [counted for counted in judged if counted.pairs]
    found = Preview(
        judged=len(judged),
        lost=Counter(counted.lost for counted in judged if counted.lost),
        comparisons=len(given),
        pairs=_pairs(given),
        capped=sum(counted.capped for counted in judged),
        new=_pairs(counted for counted in given if last and counted.said[-1].revision > last.dataset.as_of),
        held_out=_pairs(counted_in(dataset, Prompt.Side.HELD_OUT, one_in)),
        prompts=len({counted.prompt for counted in given}),
        people=len({said.person for counted in given for said in counted.said}),
        last_round=last.number if last else None,
        one_in=one_in,
    )
    pairs = [(counted, pair) for counted in given for pair in counted.pairs]
    drawn = random.Random(draw).sample(pairs, min(SAMPLES, len(pairs)))  # noqa: S311  (no secret)
    found.samples = _texts(drawn)
    return _projected(found)


def _pairs(found: Iterable[Counted]) -> int:
    return sum(len(counted.pairs) for counted in found)


def _projected(found: Preview) -> Preview:
    """Return the figures for all prompts where only some were looked at."""
    if found.one_in == 1:
        return found
    names = ("judged", "comparisons", "pairs", "capped", "new", "held_out", "prompts")
    lost = Counter({reason: number * found.one_in for reason, number in found.lost.items()})
    return replace(found, lost=lost, **{name: getattr(found, name) * found.one_in for name in names})


def _texts(drawn: list[tuple[Counted, Decided]]) -> list[SamplePair]:
    comparisons = Comparison.objects.select_related("prompt").prefetch_related("answers__completion")
    known = comparisons.in_bulk([counted.comparison for counted, _ in drawn])
    edits = Completion.objects.in_bulk([pk for counted, _ in drawn for pk in counted.edits])
    samples = []
    for counted, pair in drawn:
        comparison = known[counted.comparison]
        texts = {slot.number: slot.completion.text for slot in comparison.answers.all()}
        texts |= {comparison.slots + place: edits[pk].text for place, pk in enumerate(counted.edits)}
        samples.append(SamplePair(comparison.prompt.text, texts[pair.chosen], texts[pair.rejected], pair.share))
    return samples
