"""The page “Numbers” of a project, and the same as JSON."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotate import figures_words as words
from annotate.estimates import CONFIDENCE, FEWEST_PROMPTS, RESAMPLES, SEED
from annotate.figures import Numbers, Person, TwoPeople, as_json, numbers_of
from jobs.http import HtmxRequest
from projects.access import project_for_admin

if TYPE_CHECKING:
    from annotate.agreement import Agreement

A_PAGE = 25
Key = Callable[[Any], Any]


@require_safe
def numbers(request: HtmxRequest, slug: str) -> HttpResponse:
    project = project_for_admin(request.user, slug)
    found = numbers_of(project)
    names = names_of(found)
    context = {
        "project": project,
        "tab": "numbers",
        "numbers": found,
        "fewest": FEWEST_PROMPTS,
        "kinds": kinds_in_words(found),
        "agreement": words.told_agreement(found.agreement),
        "sways": [words.told_first_shown(found), words.told_length(found)],
        "time": words.told_time(found.time),
        "chart": words.week_chart(found.weeks),
        "weeks": [_agreement_row(week.agreement) | {"monday": week.monday} for week in reversed(found.weeks)],
        "two_people": listing(request.GET, "pairs", TWO_PEOPLE, [_two_people(row, names) for row in found.two_people]),
        "people": listing(request.GET, "people", PEOPLE, [_person(row, names) for row in found.people]),
        "checks": listing(request.GET, "checks", CHECKS, _checks(found, names)),
    }
    return render(request, "annotate/numbers.html", context)


@require_safe
def numbers_json(request: HtmxRequest, slug: str) -> JsonResponse:
    project = project_for_admin(request.user, slug)
    found = numbers_of(project)
    how = {"project": project.slug, "confidence": CONFIDENCE, "resamples": RESAMPLES, "seed": SEED}
    return JsonResponse(how | as_json(found, names_of(found)))


def _agreement_row(found: "Agreement") -> dict[str, Any]:
    return {
        "agreement": found,
        "same": words.cell(found.raw_agreement),
        "alpha": words.cell(found.krippendorff_alpha, words.two_decimals),
    }


def _two_people(row: TwoPeople, names: dict[int, str]) -> dict[str, Any]:
    return _agreement_row(row.agreement) | {"people": f"{names[row.person]} and {names[row.other]}"}


def _person(row: Person, names: dict[int, str]) -> dict[str, Any]:
    return {
        "row": row,
        "name": names[row.person],
        "first": words.cell(row.first_shown_wins),
        "ties": words.percent(row.tie_share),
        "time": (words.duration(row.time.median), words.middle_half(row.time)),
    }


def _checks(found: Numbers, names: dict[int, str]) -> list[dict[str, Any]]:
    """Return what each person who had a check said in them, in sentences."""
    return [
        {
            "row": row,
            "name": names[row.person],
            "gold": words.told_gold(row.gold_agreement),
            "again": words.told_again(row.self_consistency),
        }
        for row in found.people
        if row.gold_agreement.judged or row.self_consistency.judged
    ]


def names_of(found: Numbers) -> dict[int, str]:
    """Return the names of the people in the figures, as they are called now. One query."""
    people = User.objects.filter(pk__in=[row.person for row in found.people])
    return {person.pk: str(person) for person in people}


def kinds_in_words(found: Numbers) -> list[tuple[str, int, str]]:
    """Return each kind of judgement with how many there are and their share of all."""
    labels = {"ranked": "Chosen, ranked or tied", "both_bad": "All bad", "skipped": "Skipped", "flagged": "Flagged"}
    return [
        (labels[kind], count, words.percent(count / found.judgements) if found.judgements else "")
        for kind, count in found.kinds.items()
    ]


# ---- Tables that are sorted and paged by plain links.


@dataclass(frozen=True)
class Column:
    name: str  # in the address
    label: str
    key: Key  # of a row; None goes last in either direction
    is_number: bool = True


@dataclass(frozen=True)
class Head:
    column: Column
    link: str
    sorted: str  # the value of aria-sort


@dataclass(frozen=True)
class Listing:
    heads: list[Head]
    page: "Page[Any]"
    previous: str
    next: str


TWO_PEOPLE = (
    Column("people", "People", lambda row: row["people"].casefold(), is_number=False),
    Column("shared", "Pairs both judged", lambda row: row["agreement"].pairs),
    Column("same", "Say the same", lambda row: row["agreement"].raw_agreement.value),
    Column("alpha", "Krippendorff’s alpha", lambda row: row["agreement"].krippendorff_alpha.value),
)
PEOPLE = (
    Column("name", "Person", lambda row: row["name"].casefold(), is_number=False),
    Column("judged", "Judged", lambda row: row["row"].judged),
    Column("first", "Picks the first shown", lambda row: row["row"].first_shown_wins.value),
    Column("ties", "Ties", lambda row: row["row"].tie_share),
    Column("time", "Median time", lambda row: row["row"].time.median),
)

CHECKS = (
    Column("name", "Person", lambda row: row["name"].casefold(), is_number=False),
    Column("gold", "Gold", lambda row: row["row"].gold_agreement.judged, is_number=False),
    Column("again", "Shown again in another order", lambda row: row["row"].self_consistency.judged, is_number=False),
)


def listing(query: QueryDict, table: str, columns: Sequence[Column], rows: Iterable[Any]) -> Listing:
    """Return a page of the rows, sorted as the address asks; an unknown wish gets the second column, largest first."""
    sort, page = f"{table}_sort", f"{table}_page"
    wish = query.get(sort, "")
    column = next((one for one in columns if one.name == wish.removeprefix("-")), columns[1])
    descending = wish.startswith("-") or wish != column.name
    shown = Paginator(in_order(rows, column.key, descending), A_PAGE).get_page(query.get(page))

    def link(**changes: Any) -> str:
        address = query.copy()
        for name, value in changes.items():
            address[name] = str(value)
        return f"?{address.urlencode()}#{table}"

    heads = []
    for one in columns:
        # A press on the column that sorts already turns it round; numbers begin with the largest.
        turned = not descending if one is column else one.is_number
        state = ("descending" if descending else "ascending") if one is column else "none"
        heads.append(Head(one, link(**{sort: f"{'-' if turned else ''}{one.name}", page: 1}), state))
    previous = link(**{page: shown.previous_page_number()}) if shown.has_previous() else ""
    return Listing(heads, shown, previous, link(**{page: shown.next_page_number()}) if shown.has_next() else "")


def in_order(rows: Iterable[Any], key: Key, descending: bool) -> list[Any]:
    rows = list(rows)
    known = [row for row in rows if key(row) is not None]
    return sorted(known, key=key, reverse=descending) + [row for row in rows if key(row) is None]
