"""The admins' page of gold and practice comparisons, and where else checks show."""

import re

import pytest
from django.core.cache import cache

from annotate.gold import add, add_damaged
from annotate.judging import best_of
from annotate.models import Check, Comparison, Damage, Judgement
from annotate.queue import next_lease
from annotate.review import settle
from tests.annotate.saying import say
from tests.annotate.test_damage import TEXT

URL = "/p/plain/review/gold/"


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    cache.clear()
    return client


@pytest.fixture
def sure(alice, bob, comparisons):
    """Two comparisons that an admin has settled."""
    made = comparisons(2)
    for comparison in made:
        say(bob, comparison, best_of(0, 2))
        settle(comparison, best_of(0, 2, reason="<b>Clear</b>"), alice, [0, 1])
    return made


def test_it_works(admin, project, dora, sure):
    page = admin.get(URL)
    assert "Question 1?" in page.text
    assert page.text.count("settled by an admin</td>") == 2
    page = admin.post(f"{URL}add/", {"comparisons": [sure[0].pk], "purpose": "gold"}, follow=True)
    assert "1 gold comparison added." in page.text
    gold = Comparison.objects.get(purpose="gold")
    say(dora, gold, best_of(1, 2))
    page = admin.get(URL)
    assert "0 of 1 said the same" in page.text
    assert "“&lt;b&gt;Clear&lt;/b&gt;”" in page.text
    page = admin.post(f"{URL}{gold.check_made.pk}/take-out/", follow=True)
    assert "Taken out: nobody is given it" in page.text
    assert "taken out by alice" in page.text
    assert Check.objects.get().taken_out_at


def test_the_reason_typed_is_kept(admin, sure):
    sent = {"comparisons": [one.pk for one in sure], "purpose": "practice", "reason": "See rule 3"}
    assert "2 practice comparisons added." in admin.post(f"{URL}add/", sent, follow=True).text
    assert admin.get(URL).text.count("“See rule 3”") == 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"purpose": "gold"}, "tick the comparisons first"),
        ({"purpose": "train", "comparisons": "first"}, "That page was out of date"),
        ({"purpose": "gold", "comparisons": "1000000"}, "no longer sure"),
        ({"purpose": "gold", "comparisons": "x"}, "That page was out of date"),
    ],
)
def test_it_rejects_what_does_not_fit(admin, sure, sent, said):
    if sent.get("comparisons") == "first":
        sent["comparisons"] = sure[0].pk
    assert said in admin.post(f"{URL}add/", sent, follow=True).text
    assert not Check.objects.exists()


def test_answers_are_damaged(admin, add_prompts, sampled):
    sampled({add_prompts("Why?")[0]: [TEXT, "No."]})
    page = admin.post(f"{URL}damage/", {"how_many": "2", "kind": "numbers", "purpose": "gold"}, follow=True)
    assert "1 gold comparison added. There are no more answers that can be damaged so" in page.text
    assert "a damaged copy: its numbers are wrong" in page.text
    assert Damage.objects.get().kind == "numbers"
    page = admin.get(f"/p/plain/review/{Comparison.objects.get(purpose='gold').pk}/")
    assert "a damaged copy: its numbers are wrong</dd>" in page.text
    assert re.search(r"It shows an answer of <a [^>]+>comparison \d+</a> again, beside a damaged copy.", page.text)


def test_it_rejects_a_number_of_answers_that_is_none(admin, sure):
    page = admin.post(f"{URL}damage/", {"how_many": "21", "purpose": "gold"})
    assert "Give a whole number from 1 to 20." in page.text


def test_its_queries_do_not_grow(admin, alice, sure, comparisons, django_assert_max_num_queries):
    add(sure, "gold", alice)
    for comparison in comparisons(6):
        settle(comparison, best_of(0, 2), alice, [0, 1])
    Comparison.objects.filter(purpose="train").update(judged=1)
    add(list(Comparison.objects.filter(purpose="train", copies=None)[:4]), "practice", alice)
    with django_assert_max_num_queries(22):
        admin.get(URL)


def test_another_projects_check_is_not_found(admin, alice, sure):
    check = add(sure, "gold", alice)[0].check_made
    assert admin.post(f"/p/other/review/gold/{check.pk}/take-out/").status_code == 404


def test_nothing_on_the_judge_page_tells_gold_apart(client, alice, bob, project, add_prompts, sampled):
    """Not even how the damaged answer ended: it breaks off, and the page says that it ended."""
    sampled({add_prompts("Why?")[0]: [TEXT, "No."]})
    gold = add_damaged(project, 1, "gold", alice, seed=1, kinds=["cut"])[0]
    Comparison.objects.filter(purpose="train").update(judged=1)
    project.gold_percent = 20
    project.save()
    while not (lease := next_lease(bob, project)):
        bob.seats.update(given=bob.seats.get().given + 1)
    assert lease.comparison == gold
    client.force_login(bob)
    client.post("/p/plain/judge/start/", {"guidelines": 1})
    page = client.get("/p/plain/judge/").text.lower()
    assert "end of answer 2" in page
    for word in ("gold", "damage", "was cut off here", "repeat", "practice"):
        assert word not in page, word


def test_the_start_page_says_that_there_may_be_checks(client, bob, project):
    client.force_login(bob)
    assert "may be checks" not in client.get("/p/plain/judge/").text
    project.repeat_percent = 5
    project.save()
    assert "Some comparisons may be checks" in client.get("/p/plain/judge/").text
    assert "Some comparisons may be checks" in client.get("/p/plain/guidelines/").text


def test_review_can_be_of_one_purpose(admin, alice, dora, sure):
    gold = add(sure[:1], "gold", alice)[0]
    say(dora, gold, best_of(0, 2))
    page = admin.get("/p/plain/review/", {"purpose": "gold"})
    assert [revision.person for revision, _ in page.context["rows"]] == [dora]
    assert 'class="tag">gold</span>' in page.text
    assert len(admin.get("/p/plain/review/", {"purpose": "train"}).context["rows"]) == 2
    assert len(admin.get("/p/plain/review/").context["rows"]) == 3


def test_the_numbers_tell_checks_from_five_on(admin, alice, bob, dora, project, comparisons):
    for number, comparison in enumerate(comparisons(6)):
        say(dora, comparison, best_of(0, 2))
        settle(comparison, best_of(0, 2), alice, [0, 1])
        gold = add([comparison], "gold", alice)[0]
        say(bob, gold, best_of(int(number > 4), 2))
        if number < 2:
            say(dora, gold, best_of(0, 2))
    say(bob, comparisons(1)[0], best_of(0, 2))
    page = admin.get("/p/plain/numbers/").text
    assert "Put the same answer first as the admins in 5 of 6: 83%, with an interval of 44% to 97%." in page
    assert "2 so far: a figure needs 5." in page
    people = {one["person"]: one for one in admin.get("/p/plain/numbers.json").json()["people"]}
    assert people["bob"]["gold_agreement"]["share"]["value"] == pytest.approx(5 / 6)
    assert people["dora"]["gold_agreement"] == {
        "judged": 2,
        "same": 2,
        "share": {"value": None, "interval": None, "missing": "This needs 5. There are 2 so far."},
    }


def test_the_numbers_name_who_judged_checks_alone(admin, alice, bob, dora, sure):
    for gold in add(sure, "gold", alice):
        say(dora, gold, best_of(0, 2))
    row = '<th scope="row" class="wraps">dora</th><td class="wraps">2 so far: a figure needs 5.</td>'
    assert row in admin.get("/p/plain/numbers/").text
    people = {one["person"]: one for one in admin.get("/p/plain/numbers.json").json()["people"]}
    assert (people["dora"]["judged"], people["dora"]["gold_agreement"]["judged"]) == (0, 2)
    Judgement.objects.votes().filter(person=bob).update(current=None)
    cache.clear()
    page = admin.get("/p/plain/numbers/").text
    assert "No judgement yet" in page
    assert row in page
