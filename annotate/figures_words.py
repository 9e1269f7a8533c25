"""The numbers in words: a plain sentence beside each figure, and the chart of the weeks.

Figures about people describe and never accuse. Nothing here imports numpy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from annotate.estimates import Estimate
from annotate.figures import Numbers, Times, Week
from annotate.reliability import FEWEST_CHECKS, Checked
from jobs.charts import PLOT_WIDTH, Chart, Line, Point, Scale, StepLabel, decimal, mark, path, shares

if TYPE_CHECKING:
    from annotate.agreement import Agreement

Write = Callable[[float | None], str]

MOST_WEEKS = 52  # on the chart; the table has them all
EVEN = 0.5


@dataclass(frozen=True)
class Told:
    """A figure as the page shows it."""

    title: str
    number: str  # empty where something is missing
    interval: str
    sentence: str


def percent(share: float | None) -> str:
    return "" if share is None else shares(share)


def two_decimals(value: float | None) -> str:
    return "" if value is None else decimal(value, 2)


def interval(estimate: Estimate, write: Write = percent) -> str:
    """Return “74% to 82%”, or nothing where there is no interval."""
    return f"{write(estimate.low)} to {write(estimate.high)}" if estimate.has_interval else ""


def cell(estimate: Estimate, write: Write = percent) -> tuple[str, str]:
    """Return a figure and its interval for a cell of a table; both empty where there are too few."""
    return write(estimate.value), interval(estimate, write)


def duration(seconds: float | None) -> str:
    """Return a time as people say it: 34 s, 2 min 5 s, 1 h 10 min."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def told_agreement(found: "Agreement") -> list[Told]:
    """Return the figures of agreement; that among choices alone only where there were ties."""
    raw, decided, alpha = found.raw_agreement, found.raw_agreement_without_ties, found.krippendorff_alpha
    told = [
        _tell(
            "They say the same",
            raw,
            f"Two people who judge the same pair of answers say the same {percent(raw.value)} of the time; "
            f"chance alone would give {percent(found.expected_agreement)}.",
        )
    ]
    if decided != raw:
        told.append(
            _tell(
                "Where both chose",
                decided,
                f"Where neither called it a tie, they chose the same answer {percent(decided.value)} of the time; "
                "chance alone would give 50%.",
            )
        )
    told.append(_tell("Krippendorff’s alpha", alpha, _alpha_in_words(alpha), write=two_decimals))
    return told


def told_first_shown(numbers: Numbers) -> Told:
    wins = numbers.first_shown_wins
    sentence = f"Of two answers, the one shown first is chosen {percent(wins.value)} of the time."
    return _tell("The first shown is chosen", wins, sentence, _against_even(wins, "the order"))


def told_length(numbers: Numbers) -> Told:
    wins = numbers.length.twice_as_long_wins
    sentence = (
        f"An answer twice as long as the other is chosen {percent(wins.value)} of the time, "
        "both shown first equally often."
    )
    return _tell("The longer is chosen", wins, sentence, _against_even(wins, "the length"))


def told_time(time: Times) -> Told:
    if time.median is None:
        return Told("Time per judgement", "", "", "No judgement was timed so far.")
    how = (
        "while the page was in sight"
        if time.measured
        else "time since opened: from opening the page to submitting, pauses included"
    )
    sentence = f"Half of {time.judgements:,} judgements took less than {duration(time.median)} ({how})."
    return Told("Time per judgement", duration(time.median), f"the middle half {middle_half(time)}", sentence)


def told_gold(checked: Checked) -> str:
    return _told_check(checked, "gold comparisons", "Put the same answer first as the admins")


def told_again(checked: Checked) -> str:
    return _told_check(checked, "repeats", "Put the same answer first as before")


def _told_check(checked: Checked, what: str, finding: str) -> str:
    """Say in how many checks a person said the same; from five on with the share and its interval."""
    if not checked.judged:
        return f"No {what} so far."
    sentence = f"{finding} in {checked.same} of {checked.judged}"
    if checked.share.value is None:
        return f"{checked.judged} so far: a figure needs {FEWEST_CHECKS}."
    return f"{sentence}: {percent(checked.share.value)}, with an interval of {interval(checked.share)}."


def middle_half(time: Times) -> str:
    if time.lower_quartile is None:
        return ""
    return f"{duration(time.lower_quartile)} to {duration(time.upper_quartile)}"


def week_chart(weeks: Sequence[Week]) -> Chart | None:
    """Return raw agreement by week with its interval, or None where fewer than two weeks have a figure."""
    known = [week for week in weeks if week.agreement.raw_agreement.value is not None][-MOST_WEEKS:]
    if len(known) < 2:
        return None
    x, y = Scale(known[0].monday.toordinal(), known[-1].monday.toordinal()), Scale(0, 1)
    line = [(week.monday.toordinal(), week.agreement.raw_agreement.value or 0.0) for week in known]
    marks = [mark("p", point, x, y) for point in line[:-1]]
    marks.append(mark("p", line[-1], x, y, percent(line[-1][1])))
    first, last = (_day(week.monday) for week in (known[0], known[-1]))
    return Chart(
        title=_week_finding(known[-2], known[-1]),
        quantity="share of pairs on which two people say the same, with its 95% interval",
        sentence=f"Agreement by week, from {percent(line[0][1])} in the week of {first} "
        f"to {percent(line[-1][1])} in the week of {last}.",
        ticks=y.ticks(share=True),
        lines=[Line("band", path(_band(known), x, y) + "Z"), Line("l", path(line, x, y))],
        marks=marks,
        steps=[StepLabel("0%", "start", first), StepLabel(f"{PLOT_WIDTH}%", "middle", last)],
    )


def _tell(title: str, estimate: Estimate, *sentences: str, write: Write = percent) -> Told:
    if estimate.value is None:
        return Told(title, "", "", estimate.missing)
    sentence = " ".join(one for one in (*sentences, estimate.missing) if one)
    return Told(title, write(estimate.value), interval(estimate, write), sentence)


def _alpha_in_words(alpha: Estimate) -> str:
    scale = "0 is chance, 1 is full agreement; a tie beside a choice is a smaller difference than opposite choices."
    if alpha.low is None or alpha.high is None:
        return f"On this scale {scale}"
    if alpha.low <= 0 <= alpha.high:
        return f"Agreement cannot be told from chance yet: {scale}"
    return f"People agree {'more' if alpha.low > 0 else 'less'} than chance would make them: {scale}"


def _against_even(share: Estimate, what: str) -> str:
    """Say whether the interval tells the share from one half."""
    if share.low is None or share.high is None:
        return ""
    if share.low <= EVEN <= share.high:
        return f"50% is within the interval, so no pull of {what} shows."
    return f"Without a pull of {what} it would be 50%."


def _week_finding(before: Week, now: Week) -> str:
    """Say that agreement rose or fell only where the two intervals are apart."""
    old, new = before.agreement.raw_agreement, now.agreement.raw_agreement
    if old.high is not None and new.low is not None and new.low > old.high:
        return f"Agreement rose to {percent(new.value)} in the newest week"
    if old.low is not None and new.high is not None and new.high < old.low:
        return f"Agreement fell to {percent(new.value)} in the newest week"
    return f"No change shows in the newest week: {percent(new.value)}, after {percent(old.value)}"


def _band(weeks: Sequence[Week]) -> list[Point]:
    """Return the outline of the intervals: the low ends forwards, then the high ends backwards."""
    low: list[Point] = []
    high: list[Point] = []
    for week in weeks:
        raw, day = week.agreement.raw_agreement, week.monday.toordinal()
        low.append((day, (raw.low if raw.has_interval else raw.value) or 0.0))
        high.append((day, (raw.high if raw.has_interval else raw.value) or 0.0))
    return low + high[::-1]


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
