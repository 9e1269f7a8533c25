"""The page “Numbers” and its JSON, as admins see them."""

import re
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import QueryDict
from django.utils import timezone

from annotate.agreement import Agreement
from annotate.estimates import Estimate
from annotate.figures import Times, Week
from annotate.figures_views import A_PAGE, Column, in_order, listing
from annotate.figures_words import (
    duration,
    told_agreement,
    told_first_shown,
    told_length,
    told_time,
    week_chart,
)
from annotate.judging import Choice, Kind, best_of, tie
from annotate.models import Exclusion, Revision
from tests.annotate.saying import say
from tests.people import ask_people

URL = "/p/plain/numbers/"
NUMBER, NAME = Column("n", "Number", lambda row: row), Column("name", "Name", str, is_number=False)


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


@pytest.fixture
def page(client, alice):
    """Return a function that opens the page as its admin and returns the text, tags and spaces folded."""
    client.force_login(alice)

    def open_page(query=""):
        answer = client.get(URL + query)
        assert answer.status_code == 200
        main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
        return " ".join(re.sub(r"<[^>]+>", " ", main).split())

    return open_page


@pytest.fixture
def judged(bob, dora, comparisons):
    """Twelve pairs of bob and dora: the same on nine, opposite on two, a tie of dora's on one."""
    made = comparisons(12)
    for number, comparison in enumerate(made):
        say(bob, comparison, best_of(0, 2), shown=[number % 2, 1 - number % 2])
        said = tie(2) if number == 0 else best_of(1 if number < 3 else 0, 2)
        say(dora, comparison, said, shown=[1 - number % 2, number % 2])
    return made


def test_it_works(page, judged):
    text = page()
    assert "They say the same 75% 50% to 100%" in text
    assert (
        "Two people who judge the same pair of answers say the same 75% of the time; "
        "chance alone would give 46%." in text
    )
    assert "they chose the same answer 82% of the time" in text
    assert "Krippendorff’s alpha 0.62" in text
    assert "Of two answers, the one shown first is chosen 52% of the time. 50% is within the interval" in text
    assert "This needs 30 prompts. There are 12 so far: 18 more." in text
    assert "bob and dora 12 75% 50% to 100% 0.62" in text
    assert "Left out: of excluded people 0" in text
    assert "Judgements 24" in text


def test_only_get(client, alice, project):
    client.force_login(alice)
    assert client.post(URL).status_code == 405
    assert client.post("/p/plain/numbers.json").status_code == 405


def test_the_strip_has_its_tab(client, alice, project):
    client.force_login(alice)
    strip = client.get(URL).content.decode()
    assert '<a href="/p/plain/numbers/" aria-current="page">Numbers</a>' in strip
    assert strip.index(">Judging<") < strip.index(">Numbers<") < strip.index(">Rounds<")


# ---- empty states


def test_before_the_first_judgement(page, project):
    text = page()
    assert "No judgement yet" in text
    assert "Each person" not in text


def test_one_person_alone_is_told_to_raise_the_overlap(page, client, bob, comparisons):
    say(bob, comparisons()[0], best_of(0, 2))
    assert "No pair of answers was judged by two people yet" in page()
    assert "Raise the overlap in the settings" in page()
    assert 'href="/p/plain/settings/#id_overlap"' in client.get(URL).content.decode()
    assert 'id="id_overlap"' in client.get("/p/plain/settings/").content.decode()


def test_where_overlap_is_asked_for_it_says_what_is_awaited(page, project, bob, comparisons):
    say(bob, comparisons()[0], best_of(0, 2))
    ask_people(project, 3, 20)
    assert "3 people are to judge 20% of the comparisons: figures come when a second person judges" in page()


def test_too_few_pairs_say_how_many_are_missing(page, bob, dora, comparisons):
    for comparison in comparisons(4):
        say(bob, comparison, best_of(0, 2))
        say(dora, comparison, best_of(0, 2))
    assert "They say the same not yet This needs 10 prompts. There are 4 so far: 6 more." in page()
    assert "bob and dora 4 too few too few" in page()


@pytest.mark.filterwarnings("error:::annotate")
def test_nothing_but_skips_and_all_bad(page, bob, comparisons):
    first, second = comparisons(2)
    say(bob, first, Choice(Kind.SKIPPED))
    say(bob, second, Choice(Kind.BOTH_BAD))
    text = page()
    assert "All bad 1 (50%) Skipped 1 (50%) Flagged 0" in text
    assert "bob 1 too few" in text


def test_excluded_judgements_are_counted_on_the_page(page, project, alice, dora, judged):
    Exclusion.objects.create(project=project, person=dora, since=timezone.now() - timedelta(hours=1), created_by=alice)
    assert "Left out: of excluded people 12" in page()
    assert "dora" not in page()


def test_everybody_excluded(page, project, alice, bob, comparisons):
    say(bob, comparisons()[0], best_of(0, 2))
    Exclusion.objects.create(project=project, person=bob, since=timezone.now() - timedelta(hours=1), created_by=alice)
    assert "There is 1 judgement, all of people whose judgements are excluded." in page()


# ---- people


def test_figures_of_people_carry_no_colour_of_alarm(client, alice, judged):
    client.force_login(alice)
    main = client.get(URL).content.decode().partition("<main")[2].partition("</main>")[0]
    assert not re.search(r'class="[^"]*\b(bad|warn|danger|alarm)\b', main)
    assert not re.search(r"bias|unreliable|suspicious", main)


def test_names_are_escaped(client, alice, project, judged):
    User.objects.filter(username="bob").update(username="<b>bob</b>")
    client.force_login(alice)
    body = client.get(URL).content.decode()
    assert "&lt;b&gt;bob&lt;/b&gt;" in body
    assert "<b>bob</b>" not in body


def test_time_since_opened_is_marked(page, bob, dora, judged):
    Revision.objects.filter(person=bob).update(seconds=12)
    now = timezone.now()
    Revision.objects.filter(person=dora).update(opened_at=now - timedelta(seconds=90), submitted_at=now)
    text = page()
    assert "12 s 12 s to 12 s" in text
    assert "1 min 30 s 1 min 30 s to 1 min 30 s, since opened" in text


def test_the_page_takes_few_queries_when_kept(client, alice, judged, page, django_assert_num_queries):
    page()
    # session, person, project, admin, newest revision, exclusions, names
    with django_assert_num_queries(7):
        client.get(URL)


# ---- tables


def test_a_table_begins_with_the_largest_of_its_second_column():
    assert list(listing(QueryDict(), "t", (NAME, NUMBER), [2, 9, 5]).page) == [9, 5, 2]


@pytest.mark.parametrize(
    ("wish", "rows"), [("n", [2, 5, 9]), ("-n", [9, 5, 2]), ("name", [2, 5, 9]), ("nonsense", [9, 5, 2])]
)
def test_a_table_is_sorted_as_the_address_asks(wish, rows):
    assert list(listing(QueryDict(f"t_sort={wish}"), "t", (NAME, NUMBER), [2, 9, 5]).page) == rows


def test_a_press_on_the_sorting_column_turns_it_round():
    heads = listing(QueryDict("t_sort=-n&t_page=2&x=1"), "t", (NAME, NUMBER), [1]).heads
    assert [head.sorted for head in heads] == ["none", "descending"]
    assert [head.link for head in heads] == ["?t_sort=name&t_page=1&x=1#t", "?t_sort=n&t_page=1&x=1#t"]


def test_what_is_missing_is_last_in_either_direction():
    assert in_order([None, 2, 1], lambda row: row, descending=False) == [1, 2, None]
    assert in_order([None, 2, 1], lambda row: row, descending=True) == [2, 1, None]


def test_a_long_table_is_paged():
    found = listing(QueryDict("t_page=2"), "t", (NAME, NUMBER), range(A_PAGE * 2 + 1))
    assert list(found.page) == list(range(A_PAGE, 0, -1))
    assert (found.previous, found.next) == ("?t_page=1#t", "?t_page=3#t")
    assert listing(QueryDict(), "t", (NAME, NUMBER), [1]).next == ""


def test_the_links_of_both_tables_lead_somewhere(client, alice, judged):
    client.force_login(alice)
    body = client.get(URL).content.decode()
    links = re.findall(r'class="sort" href="([^"]+)"', body)
    assert len(links) == 4 + 5
    for link in links:
        assert client.get(URL + link.replace("&amp;", "&").partition("#")[0]).status_code == 200
        assert f'id="{link.partition("#")[2]}"' in body


# ---- JSON


def test_json_has_the_same_unrounded(client, alice, project, judged):
    client.force_login(alice)
    found = client.get("/p/plain/numbers.json").json()
    assert (found["project"], found["confidence"], found["resamples"], found["judgements"]) == ("plain", 0.95, 1000, 24)
    assert found["agreement"]["raw_agreement"] == {"value": 0.75, "interval": [0.5, 1.0], "missing": ""}
    # S, O, H = 9, 2, 1: n = 48, c = 23, so 1 − 47 · 9 / (23 · 48).
    assert found["agreement"]["krippendorff_alpha"]["value"] == pytest.approx(1 - 47 * 9 / (23 * 48), abs=1e-12)
    assert found["two_people"][0]["person"] == "bob"
    assert found["two_people"][0]["other"] == "dora"
    assert found["length"]["twice_as_long_wins"]["interval"] is None
    monday = timezone.now().date() - timedelta(days=timezone.now().weekday())
    assert [week["monday"] for week in found["weeks"]] == [monday.isoformat()]


def test_json_of_nothing(client, alice, project):
    client.force_login(alice)
    found = client.get("/p/plain/numbers.json").json()
    assert (found["judgements"], found["people"], found["agreement"]["pairs"]) == (0, [], 0)


# ---- words


def agreed(value, low=None, high=None):
    raw = Estimate(value, low, high)
    return Agreement(20, 20, 20, raw, 0.5, raw, Estimate(0.5, 0.4, 0.6), Estimate(0.5, 0.4, 0.6))


def weeks(*found):
    return [Week(date(2026, 11, 2) + timedelta(weeks=number), one) for number, one in enumerate(found)]


@pytest.mark.parametrize(
    ("before", "now", "title"),
    [
        ((0.8, 0.75, 0.85), (0.6, 0.55, 0.65), "Agreement fell to 60% in the newest week"),
        ((0.6, 0.55, 0.65), (0.8, 0.75, 0.85), "Agreement rose to 80% in the newest week"),
        ((0.8, 0.7, 0.9), (0.7, 0.6, 0.8), "No change shows in the newest week: 70%, after 80%"),
        ((0.7, 0.6, 0.8), (0.75, 0.65, 0.85), "No change shows in the newest week: 75%, after 70%"),
        ((0.75, 0.65, 0.85), (0.7, 0.6, 0.8), "No change shows in the newest week: 70%, after 75%"),
        ((1.0,), (0.7, 0.6, 0.8), "No change shows in the newest week: 70%, after 100%"),
    ],
)
def test_agreement_rises_or_falls_where_intervals_are_apart(before, now, title):
    assert week_chart(weeks(agreed(*before), agreed(*now))).title == title


def test_the_chart_draws_the_weeks_and_their_intervals():
    chart = week_chart(weeks(agreed(0.5, 0.4, 0.6), agreed(None), agreed(0.75, 0.65, 0.85)))
    assert [(line.kind, line.path) for line in chart.lines] == [
        ("band", "M0 60 100 35 100 15 0 40Z"),
        ("l", "M0 50 100 25"),
    ]
    assert [mark.label for mark in chart.marks] == ["", "75%"]
    assert [step.text for step in chart.steps] == ["2 Nov", "16 Nov"]


def test_one_week_makes_no_chart():
    assert week_chart(weeks(agreed(0.5, 0.4, 0.6), agreed(None))) is None


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (Estimate(0.5, 0.4, 0.6), "People agree more than chance would make them"),
        (Estimate(-0.5, -0.6, -0.4), "People agree less than chance would make them"),
        (Estimate(0.1, -0.1, 0.3), "Agreement cannot be told from chance yet"),
        (Estimate(1.0, missing="No interval."), "On this scale 0 is chance"),
    ],
)
def test_alpha_in_words(alpha, words):
    raw = Estimate(0.7, 0.6, 0.8)
    [same, told] = told_agreement(Agreement(20, 20, 20, raw, 0.5, raw, alpha, alpha))
    assert told.sentence.startswith(words)
    assert told.sentence.endswith(alpha.missing)
    assert same.interval == "60% to 80%"


def test_a_pull_is_told_only_where_the_interval_is_away_from_one_half():
    class Numbers:
        first_shown_wins = Estimate(0.6, 0.55, 0.65)

        class length:
            twice_as_long_wins = Estimate(0.52, 0.48, 0.56)

    assert told_first_shown(Numbers).sentence.endswith("Without a pull of the order it would be 50%.")
    assert told_length(Numbers).sentence == (
        "An answer twice as long as the other is chosen 52% of the time, both shown first equally often. "
        "50% is within the interval, so no pull of the length shows."
    )


def test_time_in_words():
    assert told_time(Times(0, False)).sentence == "No judgement was timed so far."
    told = told_time(Times(1200, True, 20, 34.4, 61))
    assert (told.number, told.interval) == ("34 s", "the middle half 20 s to 1 min 1 s")
    assert told.sentence == "Half of 1,200 judgements took less than 34 s (while the page was in sight)."
    assert "pauses included" in told_time(Times(3, False, 1, 2, 3)).sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, "0 s"), (59.6, "1 min"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (4_205, "1 h 10 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
