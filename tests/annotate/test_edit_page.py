"""The plain form of a better answer, what judge.js sends of one, and where it shows."""

import re
import uuid
from html import unescape

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from annotate.forms import OUT_OF_DATE, SWITCHED_OFF
from annotate.models import Judgement, Lease, PreferencePair, Revision
from tests.annotate.test_judge_page import BY_SCRIPT, JUDGE, choose, shown_texts

UNCHANGED = "You changed nothing in answer 1. Change it, or choose it as it is."


@pytest.fixture
def bobs(client, bob, project):
    """Bob's browser, the guidelines read."""
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    return client


@pytest.fixture
def edits(project):
    project.edits = True
    project.save()
    return project


def editor(client, comparison, of: int):
    return client.get(reverse("edit", args=["plain", comparison.pk, of]))


def typed(page) -> str:
    html = page.content.decode()
    return unescape(re.search(r'<textarea id="better"[^>]*>\n(.*?)</textarea>', html, re.DOTALL)[1])


def send(client, page, **changes):
    html = page.content.decode()
    form = html[html.index('<form class="panel form"') :]
    data = dict(re.findall(r'<input type="hidden" name="(client_key|seen|edit_of|again)" value="([^"]*)"', form))
    action = re.search(r'action="([^"]*)"', form)[1]
    return client.post(action, data | {"choice": "edit"} | changes)


def test_it_works(bobs, edits, comparisons):
    (comparison,) = comparisons()
    shown = shown_texts(bobs.get(JUDGE))
    page = editor(bobs, comparison, 2)
    assert typed(page) == shown[1]
    response = send(bobs, page, edit="Far better.\r\n\r\nReally.")
    assert (response.status_code, response.url) == (302, JUDGE)
    revision = Revision.objects.get()
    assert (revision.edit.text, revision.edit.parent.text) == ("Far better.\n\nReally.", shown[1])
    assert set(revision.pairs.values_list("chosen__text", "rejected__text")) == {
        ("Far better.\n\nReally.", shown[0]),
        ("Far better.\n\nReally.", shown[1]),
        (shown[1], shown[0]),
    }
    assert not revision.late
    assert '<span class="tight"> · your text &gt; answer 2<' in bobs.get(JUDGE).content.decode()


def test_it_is_offered_only_where_it_is_switched_on(bobs, project, comparisons):
    (comparison,) = comparisons()
    html = bobs.get(JUDGE).content.decode()
    assert "data-edit" not in html
    assert 'id="editor"' not in html
    assert "edit.js" not in html
    assert editor(bobs, comparison, 1).status_code == 404


def test_it_is_for_who_has_the_comparison(bobs, client, dora, edits, comparisons):
    (comparison,) = comparisons()
    assert editor(bobs, comparison, 1).status_code == 404  # it does not lie before him yet
    bobs.get(JUDGE)
    assert editor(bobs, comparison, 0).status_code == 200
    assert editor(bobs, comparison, 3).status_code == 404
    client.force_login(dora)
    assert editor(client, comparison, 1).status_code == 404


def test_what_is_refused_is_not_lost(bobs, edits, comparisons):
    edits.mode = "rank"
    edits.save()
    (comparison,) = comparisons(answers=3)
    bobs.get(JUDGE)
    page = editor(bobs, comparison, 1)
    refused = send(bobs, page, edit="New text", ranking="1 > 2")
    assert "“1 > 2” must place each of the answers 1 to 3 once." in unescape(refused.content.decode())
    assert typed(refused) == "New text"
    assert 'name="ranking" maxlength="100"' in refused.content.decode()
    assert 'value="1 &gt; 2"' in refused.content.decode()
    send(bobs, refused, edit="New text", ranking="3 > 1 = 2")
    shown = Revision.objects.get().shown
    assert Revision.objects.get().tiers == [[shown[2]], sorted(shown[:2])]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"edit": " "}, "Your text is empty."),
        ({"edit": "a\0b"}, "Your text holds a NUL character or half of a surrogate pair. Remove it."),
        ({"edit": "y" * 50_001}, "Your text has 50,001 characters; at most 50,000 are taken."),
        ({"edit": "Mine", "edit_of": "3"}, OUT_OF_DATE),
        ({"edit": "Mine", "edit_of": ""}, OUT_OF_DATE),
        ({"edit": "Mine", "edit_of": "12"}, OUT_OF_DATE),
        ({"edit": "Mine", "seen": "forged"}, OUT_OF_DATE),
    ],
)
@pytest.mark.parametrize("script", [False, True])
def test_it_rejects_what_is_no_better_answer(bobs, edits, comparisons, changes, error, script):
    comparisons()
    page = bobs.get(JUDGE)
    response = choose(bobs, page, "edit", script=script, **({"edit_of": "1"} | changes))
    assert error in unescape(response.content.decode())
    assert response.status_code == (422 if script else 200)
    assert not Revision.objects.exists()


def test_an_unchanged_answer_is_refused(bobs, edits, comparisons):
    comparisons()
    page = bobs.get(JUDGE)
    response = choose(bobs, page, "edit", script=True, edit=shown_texts(page)[0] + " \r\n", edit_of="1")
    assert UNCHANGED in unescape(response.content.decode())


def test_switched_off_meanwhile_nothing_is_saved(bobs, edits, comparisons):
    comparisons()
    page = bobs.get(JUDGE)
    edits.edits = False
    edits.save()
    response = choose(bobs, page, "edit", edit="Mine", edit_of="1")
    assert SWITCHED_OFF in unescape(response.content.decode())
    assert not Revision.objects.exists()


def test_the_script_gets_a_receipt_and_sends_it_once(bobs, edits, comparisons):
    comparisons(2)
    page = bobs.get(JUDGE)
    for _ in range(2):
        response = choose(bobs, page, "edit", script=True, edit="Mine", edit_of="0")
    assert " · your text; both bad<" in response.content.decode()
    assert PreferencePair.objects.filter(chosen__text="Mine").count() == 2
    assert Revision.objects.count() == 1


def test_after_the_lease_it_is_kept_as_a_late_one(bobs, edits, comparisons):
    (comparison,) = comparisons()
    bobs.get(JUDGE)
    page = editor(bobs, comparison, 1)
    Lease.objects.update(expires_at=Now())
    send(bobs, page, edit="Mine")
    assert Revision.objects.get().late


def test_an_earlier_one_is_opened_with_its_text(bobs, edits, comparisons):
    (comparison,) = comparisons()
    page = bobs.get(JUDGE)
    choose(bobs, page, "edit", edit="First <try>", edit_of="2")
    assert "Your text &gt; answer 2" in bobs.get(f"{JUDGE}mine/").content.decode()
    assert "Your text: First &lt;try&gt;" in bobs.get(f"{JUDGE}mine/").content.decode()
    again = bobs.get(reverse("again", args=["plain", comparison.pk])).content.decode()
    assert '<textarea data-own="2" hidden disabled>\nFirst &lt;try&gt;</textarea>' in again
    assert re.search(r'aria-keyshortcuts="e" aria-pressed="true"', again)
    opened = editor(bobs, comparison, 2)
    assert typed(opened) == "First <try>"
    response = send(bobs, opened, edit="Second try")
    assert response.url == f"{JUDGE}mine/"
    assert Judgement.objects.get().current.edit.text == "Second try"
    assert Revision.objects.count() == 2


def test_undo_brings_the_text_back(bobs, edits, comparisons):
    comparisons()
    choose(bobs, bobs.get(JUDGE), "edit", edit="Mine", edit_of="1")
    response = bobs.post(f"{JUDGE}take-back/", {"client_key": uuid.uuid4()}, headers=BY_SCRIPT)
    assert '<textarea data-own="1" hidden disabled>\nMine</textarea>' in response.content.decode()


def test_hostile_texts_are_inert_wherever_they_show(bobs, client, alice, edits, comparisons):
    (comparison,) = comparisons()
    attack = "</textarea><script>alert(1)</script><img src=x onerror=alert(1)>"
    choose(bobs, bobs.get(JUDGE), "edit", edit=attack, edit_of="1")
    pages = [
        bobs.get(reverse("again", args=["plain", comparison.pk])),
        bobs.get(f"{JUDGE}mine/"),
        editor(bobs, comparison, 1),
    ]
    client.force_login(alice)
    pages.append(client.get(f"/p/plain/review/{comparison.pk}/"))
    for page in pages:
        assert "alert(1)" in page.content.decode()
        assert not re.search(r"<script>alert|<img src=x", page.content.decode())


def test_admins_see_it_in_review(bobs, client, alice, edits, comparisons):
    (comparison,) = comparisons()
    choose(bobs, bobs.get(JUDGE), "edit", edit="Mine **alone**", edit_of="1")
    client.force_login(alice)
    assert "Own text &gt; answer" in client.get("/p/plain/review/").content.decode()
    html = client.get(f"/p/plain/review/{comparison.pk}/").content.decode()
    assert "<summary>bob’s text</summary>" in html
    assert "Mine <strong>alone</strong>" in html
    settling = fields_of_settlement(html)
    page = client.post(f"/p/plain/review/{comparison.pk}/settle/", settling | {"edit": "Another", "edit_of": "1"})
    assert "A settlement says which answers are better" in page.content.decode()


def fields_of_settlement(html: str) -> dict[str, str]:
    return {"choice": "edit", "seen": re.search(r'name="seen" value="([^"]*)"', html)[1]}
