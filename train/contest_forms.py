"""What an admin may ask of a blind A/B."""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from annotate.estimates import FEWEST_PROMPTS
from generation.fields import PolicyField, whole_number
from generation.forms import LARGEST, ParametersForm
from generation.models import Policy
from projects.models import Project
from train.contests import ContestError, held_out_prompts, shares_given, start_contest
from train.models import Contest
from train.power import PowerRow, power_table

USUAL_PERCENT = 20
USUAL_WIN_RATE = 0.6
MOST_EACH = 3  # comparisons of a prompt that are proposed: further ones say less and less


class ContestForm(ParametersForm):
    first = PolicyField("Policy", "The one in question.", empty_label=None)
    second = PolicyField("Against", "The one it is compared with, most often the one it was trained from.")
    size = whole_number(
        "Comparisons",
        "Chosen now, by the table. The result comes when all are in.",
        least=FEWEST_PROMPTS,
        most=LARGEST,
    )
    percent = whole_number(
        "Share of the queue", "So many of a hundred comparisons that a person is given.", least=1, most=100
    )

    def __init__(self, project: Project, data: Any = None, initial: dict[str, Any] | None = None):
        self.project = project
        self.prompts = held_out_prompts(project).count()
        self.policies = list(Policy.objects.usable_in(project))
        super().__init__(data, initial=self._defaults() | (initial or {}))
        for name in ("first", "second"):
            self._field(name).queryset = Policy.objects.usable_in(project)

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def _defaults(self) -> dict[str, Any]:
        newest = next((one for one in self.policies if one.project_id), next(iter(self.policies), None))
        return self.usual(self.project) | {
            "first": newest,
            "second": newest and newest.parent_id,
            "size": self._usual_size(),
            "percent": USUAL_PERCENT,
        }

    def _usual_size(self) -> int:
        """Propose what shows a win rate of 60% with the lower power, or of more where prompts are too few for that."""
        sizes = [row.sizes[0] for row in self.power_table() if row.win_rate >= USUAL_WIN_RATE]
        affordable = (size for size in sizes if size and size <= MOST_EACH * self.prompts)
        return next(affordable, max(self.prompts, FEWEST_PROMPTS))

    @property
    def missing(self) -> str:
        """Say what a blind A/B needs that this project has not, or nothing."""
        if len(self.policies) < 2:
            return "A blind A/B is between two policies. The first round makes the second one."
        if self.prompts < FEWEST_PROMPTS:
            return (
                f"A blind A/B needs {FEWEST_PROMPTS} held-out prompts for an interval. There are "
                f"{self.prompts or 'none'} so far: import more, and a share of them will be held out."
            )
        return ""

    def power_table(self) -> list[PowerRow]:
        return power_table(self.prompts)

    def clean_percent(self) -> int:
        percent: int = self.cleaned_data["percent"]
        given = shares_given(self.project)
        if percent + given > 100:
            left = f"Give at most {100 - given}%" if given < 100 else "Wait until one has ended"
            raise ValidationError(f"The blind A/Bs under way have {given}% of the queue already. {left}, or stop one.")
        return percent

    def clean(self) -> dict[str, Any]:
        if self.missing:
            raise ValidationError(self.missing)
        return self.cleaned_data

    def start(self, user: User) -> Contest | None:
        """Start it, or say at the field what stands against it."""
        values = self.cleaned_data
        about = {name: values[name] for name in ("first", "second", "size", "percent", "seed")}
        try:
            return start_contest(self.project, **about, parameters=self.parameters(1), user=user)
        except ContestError as error:
            self.add_error("second" if values["first"] == values["second"] else "size", str(error))
            return None
