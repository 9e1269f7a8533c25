"""The page on which people judge: what it shows, what it keeps to itself, and what it takes."""

import re
import uuid
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from django.core import signing
from django.db import connection
from django.db.models.functions import Now
from django.urls import reverse

from annotate.forms import OUT_OF_DATE
from annotate.judging import Choice, Kind, record
from annotate.masks import mask
from annotate.models import Comparison, Judgement, Lease, PreferencePair, Revision, Seat
from annotate.queue import next_lease
from generation.models import Completion, SamplingItem, SamplingJob
from jobs.models import Job
from projects.models import Project, Prompt

BY_SCRIPT = {"X-Requested-With": "judge.js"}
JUDGE = "/p/plain/judge/"


@pytest.fixture
def bobs(client, bob, project):
    """Bob's browser, the guidelines read."""
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    return client


def fields(response) -> dict[str, str]:
    """Return what the choice form of the page would send, without the choice."""
    html = response.content.decode()
    form = html[html.index('<form class="choose') :]
    return {
        **dict(re.findall(r'<input type="hidden" name="(client_key|seen)" value="([^"]*)"', form)),
        "action": unescape(re.search(r'action="([^"]*)"', form)[1]),
    }


def choose(client, page, choice, *, script=False, **changes):
    data = fields(page) | {"choice": choice} | changes
    return client.post(data.pop("action"), data, headers=BY_SCRIPT if script else {})


def shown_texts(page) -> list[str]:
    html = page.content.decode()
    answers = re.findall(
        r'<pre class="source" dir="auto">\n((?:(?!</pre>).)*)</pre>\s*<p class="end">', html, re.DOTALL
    )
    return [unescape(re.sub(r"<[^>]*>", "", text)) for text in answers]


# ---- what it shows


def test_it_works(bobs, comparisons):
    comparisons()
    page = bobs.get(JUDGE)
    assert page.status_code == 200
    assert sorted(shown_texts(page)) == ["Reply 0 to Question 1?", "Reply 1 to Question 1?"]
    for key, label in (("1", "Answer 1"), ("t 0", "Tie"), ("b", "Both bad"), ("2", "Answer 2"), ("s", "Skip")):
        assert re.search(rf'aria-keyshortcuts="{key}">.*?{label}', page.content.decode(), re.S)
    assert "<b>0</b> today" in page.content.decode()
    assert "<b>1</b> left" in page.content.decode()


# What no control declares: judge.js reads these itself, a sheet has them, or they need earlier messages.
OF_NO_CONTROL = {"c", "j", "k", "n", "=", "backspace", "tab", "space"}
KEY_CAPS = {"bksp": "backspace"}


def keys_listed(html: str) -> set[str]:
    """Return the keys on the sheet behind "?", but for numbers, as aria-keyshortcuts names them."""
    sheet = html[html.index('<section role="dialog" id="keys"') :]
    caps = re.findall(r"<kbd>([^<]+)</kbd>", sheet[: sheet.index('<p class="note">')])
    return {KEY_CAPS.get(cap.lower(), cap.lower()) for cap in caps if not cap.isdigit()}


class Declared(HTMLParser):
    """Gather the aria-keyshortcuts of what stands outside dialogs."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()
        self.sections = 0  # that are open, from the dialog's own on

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if tag == "section" and (self.sections or named.get("role") == "dialog"):
            self.sections += 1
        if not self.sections:
            self.keys.update((named.get("aria-keyshortcuts") or "").replace("control+", "ctrl ").split())

    def handle_endtag(self, tag: str) -> None:
        if tag == "section" and self.sections:
            self.sections -= 1


def keys_declared(html: str) -> set[str]:
    """Return the keys of the page's controls, but for numbers and Escape, which closes what is open."""
    page = Declared()
    page.feed(html)
    return {key for key in page.keys if not key.isdigit()} - {"escape"}


@pytest.mark.parametrize(
    "set_to",
    [
        {},
        {"edits": True},
        {"asks_reason": True},
        {"asks_strength": True},
        {"asks_quality": True},
        {"mode": "rank"},
        {"mode": "rank", "edits": True, "asks_reason": True, "asks_quality": True},
    ],
    ids=lambda set_to: " ".join(set_to) or "plain",
)
def test_the_keys_sheet_lists_the_keys_that_work(bobs, project, comparisons, set_to):
    comparisons(2)
    for name, value in set_to.items():
        setattr(project, name, value)
    project.save()
    choose(bobs, bobs.get(JUDGE), "skip")
    html = bobs.get(JUDGE).content.decode()
    assert {"s", "f", "u", "h", "g"} < keys_declared(html)
    assert keys_declared(html) <= keys_listed(html)
    assert keys_listed(html) - OF_NO_CONTROL <= keys_declared(html)


def test_the_answers_stand_in_the_order_of_the_lease(bobs, comparisons):
    (comparison,) = comparisons(answers=5)
    page = bobs.get(JUDGE)
    texts = dict(comparison.answers.values_list("number", "completion__text"))
    assert shown_texts(page) == [texts[slot] for slot in Lease.objects.get().shown]


def test_answers_that_read_the_same_are_shown_once(bobs, project, add_prompts, sampled):
    (prompt,) = add_prompts("Which?")
    sampled({prompt: ["One", "Two", "One "]})
    assert sorted(shown_texts(bobs.get(JUDGE))) == ["One", "Two"]


def test_earlier_messages_are_folded_and_named(bobs, comparisons):
    (comparison,) = comparisons()
    turns = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi *there*"), ("user", "Bye")]
    Prompt.objects.update(messages=[{"role": role, "content": content} for role, content in turns])
    html = bobs.get(JUDGE).content.decode()
    assert "3 earlier messages</summary>" in html
    assert re.findall(r"<h3>(\w+)</h3>", html[: html.index("swipe")]) == ["Instructions", "Person", "Model"]
    assert "Hi <em>there</em>" in html


def test_an_answer_cut_off_by_its_limit_says_so(bobs, comparisons):
    comparisons()
    Completion.objects.filter(index=1).update(finish_reason="length")
    html = bobs.get(JUDGE).content.decode()
    assert len(re.findall(r"Answer \d was cut off here by its length limit", html)) == 1
    assert len(re.findall(r"End of answer \d", html)) == 1


def test_it_tells_no_models_apart(bobs, policy, comparisons):
    comparisons(answers=4)
    # Numbers that could be nothing else on the page.
    for number, completion in enumerate(Completion.objects.order_by("pk")):
        Completion.objects.filter(pk=completion.pk).update(seed=770_000_001 + number, log_probability=-98.7654)
    page = bobs.get(JUDGE)
    html = page.content.decode()
    for secret in (policy.name, policy.path, policy.fingerprint, policy.tokenizer_fingerprint, "77000000", "98.7654"):
        assert secret not in html
    assert {int(number) for number in re.findall(r'id="a(\d+)"', html)} == {1, 2, 3, 4}
    assert not re.search(r"(completion|policy|slot|model)[-_]?(id|pk|\d)", html, re.IGNORECASE)


def test_hostile_answers_are_inert(bobs, project, add_prompts, sampled):
    attack = (
        "<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) "
        "![y](data:image/png;base64,AAAA) <p style='position:fixed'>z</p></pre></article><form action=//evil.example>"
    )
    (prompt,) = add_prompts("<script>alert(0)</script>")
    sampled({prompt: [attack, f"{attack} too"]})
    response = bobs.get(JUDGE)
    html = response.content.decode()
    main = html[html.index("<main") : html.index("</main>")]
    assert not re.search(r"<script|<img|<iframe|<p style|javascript:alert\(1\)\"|onerror=\"|data:image[^ ]*\"", main)
    assert not re.search(r"<[a-z]+[^>]*\s(style|on\w+)=", main)
    assert set(re.findall(r'<form[^>]* action="([^"]*)"', main)) == {fields(response)["action"]}
    assert "unsafe" not in response.headers["Content-Security-Policy"]


# ---- choices, in the numbers shown


@pytest.mark.parametrize(
    ("choice", "kind", "place"),
    [
        ("1", "ranked", 0),
        ("2", "ranked", 1),
        ("tie", "ranked", None),
        ("bad", "both_bad", None),
        ("skip", "skipped", None),
    ],
)
def test_a_choice_of_two(bobs, comparisons, choice, kind, place):
    (comparison,) = comparisons()
    page = bobs.get(JUDGE)
    shown = Lease.objects.get().shown
    response = choose(bobs, page, choice)
    assert (response.status_code, response.url) == (302, JUDGE)
    revision = Revision.objects.get()
    assert (revision.kind, revision.shown, revision.late) == (kind, shown, False)
    pairs = list(PreferencePair.objects.values_list("chosen__text", flat=True))
    texts = dict(comparison.answers.values_list("number", "completion__text"))
    assert pairs == ([] if place is None else [texts[shown[place]]])


def test_the_best_of_five(bobs, comparisons):
    (comparison,) = comparisons(answers=5)
    page = bobs.get(JUDGE)
    best = shown_texts(page)[3]
    choose(bobs, page, "4")
    pairs = PreferencePair.objects.values_list("chosen__text", "rejected__text")
    assert {chosen for chosen, _ in pairs} == {best}
    assert {rejected for _, rejected in pairs} == set(shown_texts(page)) - {best}


def test_a_ranking(bobs, project, comparisons):
    project.mode = "rank"
    comparisons(answers=4)
    page = bobs.get(JUDGE)
    assert '<input name="ranking"' in page.content.decode()
    texts = shown_texts(page)
    choose(bobs, page, "rank", ranking="3 > 1 = 4 > 2")
    pairs = set(PreferencePair.objects.values_list("chosen__text", "rejected__text"))
    better = [(3, 1), (3, 4), (3, 2), (1, 2), (4, 2)]
    assert pairs == {(texts[a - 1], texts[b - 1]) for a, b in better}


@pytest.mark.parametrize("script", [False, True])
def test_a_ranking_that_places_not_all_is_kept_to_be_mended(bobs, project, comparisons, script):
    project.mode = "rank"
    comparisons(answers=3)
    page = choose(bobs, bobs.get(JUDGE), "rank", script=script, ranking="3 > 1")
    html = unescape(page.content.decode())
    assert page.status_code == (422 if script else 200)
    assert "“3 > 1” must place each of the answers 1 to 3 once." in html
    assert 'name="ranking" value="3 > 1"' in html
    assert not Revision.objects.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"choice": "3"}, "Nothing was saved: “3” is none of 1 to 2, tie, bad, skip, flag."),
        ({"choice": "0"}, "Nothing was saved: “0” is none of 1 to 2, tie, bad, skip, flag."),
        ({"choice": ""}, "Nothing was saved: “” is none of 1 to 2, tie, bad, skip, flag."),
        ({"seen": ""}, OUT_OF_DATE),
        ({"seen": signing.dumps([1, 1, [1, 0], "2026-01-01T00:00:00+00:00"], salt="another")}, OUT_OF_DATE),
        ({"client_key": "x" * 80}, OUT_OF_DATE),
        ({"choice": "flag", "flags": ["It is broken", "cut \0 off"]}, OUT_OF_DATE),
    ],
)
def test_it_rejects_what_the_page_did_not_offer(bobs, comparisons, changes, error):
    comparisons()
    page = bobs.get(JUDGE)
    response = choose(bobs, page, **({"choice": "1"} | changes))
    assert error in response.content.decode()
    assert not Revision.objects.exists()
    assert shown_texts(response) == shown_texts(page)


def test_it_rejects_what_another_person_was_shown(bobs, client, dora, project, comparisons):
    comparisons(2)
    page = bobs.get(JUDGE)
    client.force_login(dora)
    assert OUT_OF_DATE in choose(client, page, "1").content.decode()
    assert not Revision.objects.exists()


def test_it_rejects_what_another_comparison_showed(bobs, project, comparisons):
    first, second = comparisons(2)
    page = bobs.get(JUDGE)
    other = {first.pk: second.pk, second.pk: first.pk}[Lease.objects.get().comparison_id]
    assert OUT_OF_DATE in choose(bobs, page, "1", action=reverse("submit", args=["plain", other])).content.decode()
    assert not Revision.objects.exists()


# ---- sending it


def test_the_script_gets_a_receipt_and_what_comes_next(bobs, comparisons):
    comparisons(3)
    page = bobs.get(JUDGE)
    (first,) = Lease.objects.values_list("comparison", flat=True)
    upcoming = bobs.get(f"{JUDGE}next/", {"have": mask(first)})
    (second,) = Lease.objects.exclude(comparison=first).values_list("comparison", flat=True)
    assert f'data-comparison="{mask(second)}"' in upcoming.content.decode()
    response = choose(bobs, page, "2", script=True, have=mask(second))
    html = response.content.decode()
    assert "<html" not in html
    (third,) = Lease.objects.exclude(comparison=second).values_list("comparison", flat=True)
    assert f'data-comparison="{mask(third)}"' in html
    assert re.search(r'Saved</span> <time datetime="[^"]+">[^<]+</time><span class="tight"> · answer 2<', html)
    assert 'aria-keyshortcuts="u">Undo' in html
    assert "<b>1</b> today" in html
    assert "<b>2</b> left" in html
    assert fields(response)["client_key"] not in (fields(page)["client_key"], fields(upcoming)["client_key"])


def test_there_may_be_nothing_ahead(bobs, comparisons):
    comparisons(2)
    bobs.get(JUDGE)
    (first,) = Lease.objects.values_list("comparison", flat=True)
    bobs.get(f"{JUDGE}next/", {"have": mask(first)})
    both = ",".join(mask(pk) for pk in Lease.objects.values_list("comparison", flat=True))
    assert bobs.get(f"{JUDGE}next/", {"have": both}).status_code == 204


@pytest.mark.parametrize("have", ["", "x", "1,,2", "f" * 16, "-" + "1" * 15, "é" * 16, "\0", "1" * 300])
def test_nonsense_about_what_is_on_hand_is_passed_over(bobs, comparisons, have):
    comparisons(1)
    assert bobs.get(f"{JUDGE}next/", {"have": have, "visit": "v" * 40}).status_code in (200, 204)


def test_without_the_script_the_receipt_is_on_the_next_page(bobs, comparisons):
    comparisons(2)
    choose(bobs, bobs.get(JUDGE), "tie")
    assert '<span class="tight"> · tie<' in bobs.get(JUDGE).content.decode()


def test_the_same_page_sent_twice_counts_once(bobs, comparisons):
    comparisons(2)
    page = bobs.get(JUDGE)
    first, again = choose(bobs, page, "1", script=True), choose(bobs, page, "1", script=True)
    assert Revision.objects.count() == 1
    assert shown_texts(first) == shown_texts(again)


def test_what_comes_after_the_lease_is_kept_in_the_order_that_was_shown(bobs, dora, project, comparisons):
    (comparison,) = comparisons(answers=6)
    page = bobs.get(JUDGE)
    shown, opened_at = Lease.objects.get().shown, Lease.objects.get().opened_at
    Lease.objects.update(expires_at=Now() - timedelta(seconds=1))
    lease = next_lease(dora, project)
    record(dora, comparison, Choice(Kind.BOTH_BAD), shown=lease.shown, client_key="dora")
    response = choose(bobs, page, "3", script=True)
    revision = Revision.objects.exclude(person=dora).get()
    assert (revision.late, revision.shown, revision.opened_at) == (True, shown, opened_at)
    assert revision.tiers[0] == [shown[2]]
    assert Comparison.objects.get().judged == 2
    assert "answer 3 · late, counted as an extra" in response.content.decode()


def test_a_lease_given_anew_does_not_change_what_an_old_page_showed(bobs, project, comparisons):
    comparisons(answers=4)
    page = bobs.get(JUDGE)
    shown = Lease.objects.get().shown
    Lease.objects.update(shown=shown[::-1])
    choose(bobs, page, "1")
    assert Revision.objects.get().tiers[0] == [shown[0]]


# ---- undo


@pytest.mark.parametrize("script", [False, True])
def test_undo_brings_the_comparison_back_as_it_was_shown(bobs, comparisons, script):
    comparisons(2)
    page = bobs.get(JUDGE)
    choose(bobs, page, "1")
    response = bobs.post(
        f"{JUDGE}take-back/", {"client_key": uuid.uuid4()}, headers=BY_SCRIPT if script else {}, follow=True
    )
    assert "Taken back: choose again." in response.content.decode()
    assert shown_texts(response) == shown_texts(page)
    assert Judgement.objects.get().current.kind == Kind.WITHDRAWN
    assert "<b>0</b> today" in response.content.decode()
    choose(bobs, response, "2")
    assert list(Revision.objects.order_by("pk").values_list("number", "kind")) == [
        (1, "ranked"),
        (2, "withdrawn"),
        (3, "ranked"),
    ]


def test_there_may_be_nothing_to_take_back(bobs, comparisons):
    comparisons()
    response = bobs.post(f"{JUDGE}take-back/", headers=BY_SCRIPT)
    assert "There is nothing to take back." in response.content.decode()


def test_undo_rejects_a_key_that_is_none(bobs, comparisons):
    comparisons()
    choose(bobs, bobs.get(JUDGE), "1")
    assert OUT_OF_DATE in bobs.post(f"{JUDGE}take-back/", {"client_key": "x"}).content.decode()
    assert Revision.objects.count() == 1


# ---- the first visit, and the last


def test_the_guidelines_come_before_the_first_judgement(client, bob, project, comparisons):
    comparisons()
    client.force_login(bob)
    html = client.get(JUDGE).content.decode()
    assert "Choose the answer you would <strong>rather</strong> have been given." in html
    assert "Winnow stores what you choose with your name, when a comparison was opened and answered" in html
    assert not Lease.objects.exists()
    assert client.get(f"{JUDGE}start/").status_code == 405
    assert shown_texts(client.post(f"{JUDGE}start/", {"guidelines": 1}, follow=True))
    assert shown_texts(client.get(JUDGE))


def test_guidelines_that_changed_are_shown_again(bobs, project, comparisons):
    comparisons()
    project.guideline_versions.create(version=2, text="Shorter is better.")
    html = bobs.get(JUDGE).content.decode()
    assert "The guidelines have changed" in html
    assert "Shorter is better." in html
    assert shown_texts(bobs.post(f"{JUDGE}start/", {"guidelines": 2}, follow=True))


def test_a_content_warning_is_agreed_to_first(bobs, project, comparisons):
    comparisons()
    project.content_warning = "Some answers speak of\nviolence & worse."
    project.save()
    html = bobs.get(JUDGE).content.decode()
    assert "Some answers speak of<br>violence &amp; worse." in html
    assert not Lease.objects.exists()
    agreed = {"guidelines": 1, "warning": project.content_warning.replace("\n", "\r\n")}  # as browsers send it
    assert shown_texts(bobs.post(f"{JUDGE}start/", agreed, follow=True))
    assert Seat.objects.get().warning_agreed == project.content_warning


@pytest.mark.parametrize("sent", [{"guidelines": 1}, {}, {"guidelines": "x"}, {"guidelines": 2, "warning": "Old."}])
def test_who_read_something_older_is_shown_the_start_page_again(bobs, project, sent):
    project.guideline_versions.create(version=2, text="Shorter is better.")
    html = bobs.post(f"{JUDGE}start/", sent).text
    assert "The guidelines have changed" in html
    assert "Shorter is better." in html
    assert Seat.objects.get().guidelines_read == 1


def test_the_start_page_sends_what_it_shows(client, bob, project):
    project.content_warning = "Harsh & worse."
    project.save()
    client.force_login(bob)
    html = client.get(JUDGE).text
    assert re.findall(r'name="(guidelines|warning)" value="([^"]*)"', html) == [
        ("guidelines", "1"),
        ("warning", "Harsh &amp; worse."),
    ]


def as_shown_by(page) -> dict[str, str]:
    """The headers of what judge.js asks on this page."""
    return BY_SCRIPT | {"X-Guidelines": re.search(r'data-guidelines="(\d*)"', page.text)[1]}


def test_a_judgement_is_stored_with_the_guidelines_that_its_page_showed(bobs, project, comparisons):
    comparisons(3)
    page = bobs.get(JUDGE)
    ahead = bobs.get(f"{JUDGE}next/", {"have": mask(Lease.objects.get().comparison_id)}, headers=as_shown_by(page))
    project.guideline_versions.create(version=2, text="Shorter is better.")
    refused = choose(bobs, page, "3", script=True)  # comes back
    for sheet in (refused, ahead):
        assert choose(bobs, sheet, "1", script=True).status_code == 200
    assert set(Revision.objects.values_list("guidelines__version", flat=True)) == {1}
    bobs.post(f"{JUDGE}start/", {"guidelines": 2})
    choose(bobs, bobs.get(JUDGE), "1", script=True)
    assert Revision.objects.latest("pk").guidelines.version == 2


@pytest.mark.parametrize("change", ["guidelines", "warning", "other page"])
def test_what_changed_is_read_before_anything_else_is_shown(bobs, project, comparisons, change):
    """The page is told to load itself anew, and gets no other comparison; what it sends is stored."""
    comparisons(3)
    page = bobs.get(JUDGE)
    headers = as_shown_by(page)
    first = Lease.objects.get().comparison_id
    assert "X-Read-Again" not in bobs.get(f"{JUDGE}next/?have={mask(first)}", headers=headers).headers
    if change == "warning":
        Project.objects.update(content_warning="Harsh.")
    else:
        project.guideline_versions.create(version=2, text="Shorter is better.")
    if change == "other page":  # they have read it there, and this page shows the old ones still
        bobs.post(f"{JUDGE}start/", {"guidelines": 2})
    ahead = bobs.get(f"{JUDGE}next/?have={mask(first)}", headers=headers)
    assert (ahead.status_code, ahead.headers["X-Read-Again"]) == (204, "yes")
    data = fields(page) | {"choice": "1"}
    reply = bobs.post(data.pop("action"), data, headers=headers)
    assert Revision.objects.get().judgement.comparison_id == first
    undone = bobs.post(f"{JUDGE}take-back/", {"client_key": uuid.uuid4()}, headers=headers)
    for told in (reply, undone):
        assert told.headers["X-Read-Again"] == "yes"
        assert 'id="receipt"' in told.text
        assert "data-comparison" not in told.text
        assert "data-nothing" not in told.text


def test_without_guidelines_there_is_nothing_to_read_first(client, bob, project, comparisons):
    comparisons()
    project.guideline_versions.all().delete()
    client.force_login(bob)
    assert shown_texts(client.get(JUDGE))


def test_before_anything_is_sampled_it_says_so(bobs):
    html = bobs.get(JUDGE).content.decode()
    assert "Nothing to judge yet" in html
    assert "There will be something to judge when an admin samples some." in html
    assert "data-look-again" not in html


def test_when_all_is_judged_it_says_so(bobs, comparisons):
    comparisons()
    html = choose(bobs, bobs.get(JUDGE), "1", script=True).content.decode()
    assert "All done for now" in html
    assert "You have judged 1 comparison today." in html
    assert "data-look-again" not in html
    assert 'aria-keyshortcuts="u">Undo' in html
    assert 'name="choice"' not in html


def test_an_admin_is_led_to_the_project(client, alice, comparisons):
    (comparison,) = comparisons()
    record(alice, comparison, Choice(Kind.BOTH_BAD), shown=[0, 1], client_key="k")
    client.force_login(alice)
    html = client.post(f"{JUDGE}start/", {"guidelines": 1}, follow=True).content.decode()
    assert "Sample more answers, or train on what there is." in html
    assert '<a class="button" href="/p/plain/">The project’s home</a>' in html


def test_while_more_is_sampled_it_looks_by_itself(bobs, comparisons):
    comparisons(2)
    for _ in range(2):
        choose(bobs, bobs.get(JUDGE), "1")
    SamplingItem.objects.update(status="pending")
    Job.objects.filter(pk=SamplingJob.objects.get().pk).update(status=Job.Status.RUNNING)
    html = bobs.get(JUDGE).content.decode()
    assert "2 prompts are being sampled." in html
    assert "data-look-again" in html
    comparisons()
    assert shown_texts(bobs.get(f"{JUDGE}next/"))


def test_while_others_hold_the_last_it_looks_by_itself(bobs, dora, project, comparisons):
    comparisons()
    next_lease(dora, project)
    html = bobs.get(JUDGE).content.decode()
    assert "The last comparison lies before other people." in html
    assert "data-look-again" in html


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Nowhere/None", "../../etc/passwd", "America", "\0", ""])
def test_today_is_the_persons_own(bobs, comparisons, zone):
    comparisons(2)
    choose(bobs, bobs.get(JUDGE), "1")
    bobs.cookies["timezone"] = zone
    Revision.objects.update(submitted_at=Now() - timedelta(hours=30))
    Seat.objects.update(counted_at=None)
    assert "<b>0</b> today" in bobs.get(JUDGE).content.decode()


# ---- who may


@pytest.mark.parametrize("url", [JUDGE, f"{JUDGE}take-back/", f"{JUDGE}{mask(1)}/", "/p/plain/guidelines/"])
def test_it_requires_a_member(client, charlie, project, url):
    is_page = url in (JUDGE, "/p/plain/guidelines/")
    method = client.get if is_page else client.post
    assert method(url).url == f"/sign-in/?next={url if is_page else '/'}"
    client.force_login(charlie)
    assert method(url).status_code == 404


@pytest.mark.parametrize("person", ["alice", "bob", "olga"])
def test_every_member_and_the_operator_may_judge(client, request, person, comparisons):
    comparisons()
    client.force_login(request.getfixturevalue(person))
    assert shown_texts(client.post(f"{JUDGE}start/", {"guidelines": 1}, follow=True))


def test_it_rejects_the_wrong_method(bobs, comparisons):
    (comparison,) = comparisons()
    assert bobs.post(JUDGE).status_code == 405
    assert bobs.get(f"{JUDGE}take-back/").status_code == 405
    assert bobs.get(reverse("submit", args=["plain", comparison.pk])).status_code == 405
    assert bobs.post("/p/plain/guidelines/").status_code == 405


def test_a_comparison_of_another_project_is_not_there(bobs, bob, comparisons):
    (comparison,) = comparisons()
    page = bobs.get(JUDGE)
    Comparison.objects.update(project=Project.objects.create(name="Other", slug="other"))
    assert choose(bobs, page, "1").status_code == 404
    assert bobs.post(f"{JUDGE}{comparison.pk + 1}/").status_code == 404


# ---- cost


def test_the_loop_takes_so_many_queries_whatever_it_shows(bobs, comparisons, django_assert_num_queries):
    comparisons(3, answers=8)
    page = bobs.get(JUDGE)
    # session, person, project with what was read
    # BEGIN, the comparison's lock with its answers and what was said before, lease's end, judgement, revision, pairs,
    #   judgement's current, comparison's count, what is left; the person's leases, seat, next comparison,
    #   seat's place, lease, COMMIT
    # answers, today with what is left
    # and on PostgreSQL: the person's lock; still free, now that it is locked?
    with django_assert_num_queries(20 + 2 * connection.features.has_select_for_update):
        choose(bobs, page, "1", script=True)
