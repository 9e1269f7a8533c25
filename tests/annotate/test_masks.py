"""What stands for a comparison's id where annotators can see it."""

import base64
import json
import re

import pytest
from django.core.management.color import no_style
from django.db import connection
from django.urls import resolve, reverse

from annotate.gold import add
from annotate.judging import best_of
from annotate.masks import mask, unmask
from annotate.models import Comparison, Lease, Revision
from annotate.review import settle
from tests.annotate.test_judge_page import JUDGE, choose, fields

PKS = [1, 2, 3, 10, 2**31, 2**32, 2**63 - 1]
FAR = 770_000_001  # ids that could be nothing else on a page


@pytest.fixture
def bobs(client, bob, project):
    """Bob's browser, the guidelines read."""
    client.force_login(bob)
    client.post(f"{JUDGE}start/", {"guidelines": 1})
    return client


@pytest.fixture
def far(comparisons):
    """Let the ids of what is made from now on stand out."""
    (last,) = comparisons()
    Comparison.objects.filter(pk=last.pk).delete()
    last.pk = FAR
    last.save(force_insert=True)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Comparison]):
            cursor.execute(statement)
    last.delete()
    return comparisons


# ---- masks


@pytest.mark.parametrize("pk", PKS)
def test_it_works(pk):
    assert re.fullmatch("[0-9a-f]{16}", mask(pk))
    assert unmask(mask(pk)) == pk
    assert mask(pk) == mask(pk)


def test_masks_do_not_follow_the_ids():
    masks = [mask(pk) for pk in range(1, 1001)]
    assert len(set(masks)) == 1000
    rising = sum(one < other for one, other in zip(masks, masks[1:], strict=False))
    assert 430 < rising < 570  # of 999, as of numbers drawn


def test_without_the_key_nobody_can_tell_them(settings):
    before = [mask(pk) for pk in PKS]
    settings.SECRET_KEY = "another"
    assert not set(before) & {mask(pk) for pk in PKS}


@pytest.mark.parametrize("text", ["", "1", "-" + "1" * 15, "0x" + "1" * 14, "G" * 16, "A" * 16, "\0" * 16, "1" * 17])
def test_it_rejects_what_is_no_mask(text):
    with pytest.raises(ValueError, match="A mask has 16 hexadecimal digits"):
        unmask(text)


def test_it_rejects_what_masks_no_id():
    with pytest.raises(ValueError, match="masks no id"):
        unmask(mask(2**63))


def test_addresses_take_the_id_and_show_the_mask():
    url = reverse("again", args=["plain", 12])
    assert url == f"{JUDGE}{mask(12)}/again/"
    assert resolve(url).kwargs == {"slug": "plain", "comparison": 12}


# ---- pages


def tells_nothing(html: str, pks: list[int]) -> None:
    for pk in pks:
        assert str(pk) not in html
        assert f"{pk:x}" not in html
    for seen in re.findall(r'name="seen" value="([^"]*)"', html):
        readable = seen.split(":")[0]
        readable = base64.urlsafe_b64decode(readable + "=" * (-len(readable) % 4)).decode()
        assert not any(str(pk) in readable for pk in pks)
        assert sorted(json.loads(readable)[0]) == [0, 1]


def test_no_page_of_theirs_holds_an_id(bobs, bob, project, far):
    project.edits = True
    project.save()
    pks = [comparison.pk for comparison in far(4)]
    page = bobs.get(JUDGE)
    current = Lease.objects.get().comparison_id
    assert f'data-comparison="{mask(current)}"' in page.text
    assert fields(page)["action"] == f"{JUDGE}{mask(current)}/"
    upcoming = bobs.get(f"{JUDGE}next/", {"have": mask(current)})
    edit = bobs.get(reverse("edit", args=["plain", current, 1]))
    reply = choose(bobs, page, "1", script=True)
    again = bobs.get(reverse("again", args=["plain", current]))
    edit_again = bobs.get(reverse("edit", args=["plain", current, 0]))
    mine = bobs.get(f"{JUDGE}mine/")
    assert f"{mask(current)}/again/" in mine.text
    for one in (page, upcoming, edit, reply, again, edit_again, mine):
        assert one.status_code == 200
        tells_nothing(one.text, pks)


def test_practice_holds_no_id(bobs, alice, project, far):
    project.practice_count = 1
    project.save()
    original = far(1)[0]
    settle(original, best_of(0, 2), alice, [0, 1])
    Comparison.objects.update(judged=1)
    (practice,) = add([original], "practice", alice)
    pks = [original.pk, practice.pk]
    assert practice.pk > FAR
    page = bobs.get("/p/plain/practice/")
    tells_nothing(page.text, pks)
    assert fields(page)["action"] == f"/p/plain/practice/{mask(practice.pk)}/"
    response = choose(bobs, page, "1")
    tells_nothing(response.url, pks)
    tells_nothing(bobs.get(response.url).text, pks)


def test_a_choice_is_sent_by_the_mask_and_by_no_id(bobs, comparisons):
    (comparison,) = comparisons()
    page = bobs.get(JUDGE)
    plain = (f"{JUDGE}{comparison.pk}/", f"{JUDGE}{comparison.pk:016}/", f"{JUDGE}{mask(comparison.pk).upper()}/")
    for action in plain:
        assert choose(bobs, page, "1", action=action).status_code == 404
    assert choose(bobs, page, "1", action=f"{JUDGE}{mask(comparison.pk + 1)}/").status_code == 404
    assert not Revision.objects.exists()
    assert choose(bobs, page, "1").status_code == 302
    assert Revision.objects.get().judgement.comparison == comparison
    for way in ("again/", "edit/1/"):
        assert bobs.get(f"{JUDGE}{comparison.pk}/{way}").status_code == 404


def test_a_plain_id_on_hand_is_passed_over(bobs, comparisons):
    comparisons(2)
    bobs.get(JUDGE)
    first = Lease.objects.get().comparison_id
    upcoming = bobs.get(f"{JUDGE}next/", {"have": first}).text
    assert f'data-comparison="{mask(first)}"' in upcoming
    assert f'data-comparison="{mask(first)}"' not in bobs.get(f"{JUDGE}next/", {"have": mask(first)}).text
