"""The page of prompts: bringing them in, watching that, and finding them."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs.attempts import run_job
from jobs.models import Job
from projects.forms import MEGABYTE
from projects.models import Project, Prompt, PromptImport
from projects.prompts import import_prompts, run_import

URL = "/p/plain/prompts/"
IMPORT = "/p/plain/prompts/import/"
IMPORTS = "/p/plain/prompts/imports/"
FRAGMENT = {"HX-Request": "true", "HX-Target": "imports"}


def upload(client, content: bytes, name="prompts.jsonl"):
    return client.post(IMPORT, {"kind": "file", "file": SimpleUploadedFile(name, content)})


def shown(page) -> list[str]:
    return [prompt.text for prompt, _ in page.context["rows"]]


@pytest.fixture
def admin(client, alice, project):
    client.force_login(alice)
    return client


def test_it_works(admin, add_prompts, sampled):
    prompts = add_prompts("Why is the sky blue?", "What is rain?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    Prompt.objects.filter(pk=prompts[1].pk).update(side=Prompt.Side.HELD_OUT)
    sampled({prompts[0]: ["light", "water"]})
    page = admin.get(URL)
    assert [(prompt.text, answers) for prompt, answers in page.context["rows"]] == [
        ("Why is the sky blue?", 2),
        ("What is rain?", 0),
    ]
    assert page.text.count('<span class="tag">held out</span>') == 1
    assert "2 prompts</p>" in page.text


def test_an_empty_project_says_how_to_begin(admin):
    page = admin.get(URL)
    assert "There are no prompts yet. Type some above, or bring a file." in page.text
    assert "Nothing was imported yet." in page.text


def test_typed_prompts_are_imported(admin, alice, project):
    answer = admin.post(IMPORT, {"text": "One?\r\n\r\n  Two?\r\n"})
    assert answer.headers["Location"] == URL
    job = PromptImport.objects.get()
    assert (job.total, job.source, job.created_by) == (2, "typed prompts", alice)
    run_job(job.pk, run_import)
    assert shown(admin.get(URL)) == ["One?", "Two?"]


def test_a_file_is_imported(admin):
    assert upload(admin, b'{"prompt": "One?"}\n{"prompt": "Two?"}\n').headers["Location"] == URL
    job = PromptImport.objects.get()
    assert (job.total, job.source) == (2, "prompts.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"prompt": "One?"}\n{"prompt": 3}\n',
            "Line 2: message 1 (user) must hold text, got a number. Nothing was imported.",
        ),
        (b"\xff\xfe", "Line 1: it is not UTF-8 text (byte 1). Save the file as UTF-8. Nothing was imported."),
        (b"\n\n", "There is no prompt in it. Nothing was imported."),
        (b"", "The file is empty. Choose another one."),
    ],
)
def test_a_wrong_file_stores_nothing(admin, settings, content, message):
    kept = set((settings.WINNOW_HOME / "imports").iterdir())
    page = upload(admin, content)
    assert page.context["file"].errors == {"file": [message]}
    assert not page.context["typed"].errors
    assert 'id="id_file_error"' in page.text
    assert not PromptImport.objects.exists()
    assert set((settings.WINNOW_HOME / "imports").iterdir()) == kept


def test_no_file_is_said(admin):
    assert admin.post(IMPORT, {"kind": "file"}).context["file"].errors == {"file": ["Choose a file."]}


def test_a_file_that_is_too_large_is_refused(admin, monkeypatch):
    monkeypatch.setattr("projects.forms.LARGEST_UPLOAD", MEGABYTE)
    page = upload(admin, b'{"prompt": "One?"}\n' * 100_000)
    assert page.context["file"].errors == {
        "file": ["The file has 2 MB; at most 1 MB are taken at once. Split it into several files."]
    }
    assert not PromptImport.objects.exists()


def test_wrong_typed_text_is_kept(admin):
    page = admin.post(IMPORT, {"text": "One?\n" + "x" * 100_001})
    assert page.context["typed"].errors == {
        "text": ["Line 2: message 1 has 100,001 characters; at most 100,000 are allowed. Nothing was imported."]
    }
    assert "One?\n" in page.text
    assert not page.context["file"].errors


def test_nothing_typed_is_said(admin):
    assert admin.post(IMPORT, {"text": " \n "}).context["typed"].errors == {"text": ["Type at least one prompt."]}


def test_the_pages_of_the_list_are_reached_from_a_failed_import(admin, add_prompts):
    add_prompts(*(f"Question {number}?" for number in range(26)))
    assert f'href="{URL}?page=2"' in admin.post(IMPORT, {"text": ""}).text


def test_an_import_tells_what_came_of_it(admin, add_prompts, project):
    add_prompts("One?", "Two?")
    add_prompts("Two?", "Three?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    PromptImport.objects.update(held_out=1)
    text = admin.get(URL).text
    assert "1 prompt imported, 1 was there already, 1 is held out." in text
    assert "2 prompts imported, 0 were there already, 1 is held out." in text


def test_an_import_is_watched_until_it_has_ended(admin, project):
    job = import_prompts(project, "more.jsonl", [b'{"prompt": "One?"}'])
    page = admin.get(IMPORTS, headers=FRAGMENT)
    assert page.text.lstrip().startswith("<section")
    assert 'hx-trigger="every 2s"' in page.text
    assert "Waiting for a worker." in page.text
    assert "HX-Trigger" not in page.headers
    run_job(job.pk, run_import)
    page = admin.get(IMPORTS, headers=FRAGMENT)
    assert 'hx-trigger="every 2s"' not in page.text
    # The list of prompts listens for this and loads itself anew.
    assert page.headers["HX-Trigger"] == '{"imported": {}}'


def test_a_failed_import_says_why(admin, project):
    job = import_prompts(project, "more.jsonl", [b'{"prompt": "One?"}'])
    Job.objects.filter(pk=job.pk).update(status=Job.Status.FAILED, error="The copy of more.jsonl is gone.")
    assert "The copy of more.jsonl is gone. None of its prompts count." in admin.get(URL).text


def test_older_imports_have_a_page_of_their_own(admin, project):
    for number in range(6):
        import_prompts(project, f"file-{number}.jsonl", [b'{"prompt": "One?"}'])
    page = admin.get(URL)
    assert "file-1.jsonl" in page.text
    assert "file-0.jsonl" not in page.text
    assert "All imports" in page.text
    page = admin.get(IMPORTS)
    assert "file-0.jsonl" in page.text
    assert "<html" in page.text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"search": "SKY"}, ["Why is the sky blue?"]),
        ({"search": "é"}, ["Où est le café?"]),
        ({"search": "50% \\"}, ["Is 50% \\ half?"]),
        ({"search": "user"}, []),
        ({"side": "held_out"}, ["Où est le café?"]),
        ({"side": "train", "search": "?"}, ["Why is the sky blue?", "Is 50% \\ half?"]),
        ({"side": "nowhere"}, ["Why is the sky blue?", "Où est le café?", "Is 50% \\ half?"]),
    ],
)
def test_prompts_are_found(admin, add_prompts, asked, found):
    prompts = add_prompts("Why is the sky blue?", "Où est le café?", "Is 50% \\ half?")
    Prompt.objects.update(side=Prompt.Side.TRAIN)
    Prompt.objects.filter(pk=prompts[1].pk).update(side=Prompt.Side.HELD_OUT)
    page = admin.get(URL, asked)
    assert shown(page) == found
    assert ("No prompt fits." in page.text) == (not found)


def test_the_last_turn_of_a_conversation_is_searched(admin, project):
    line = (
        b'{"messages": [{"role": "user", "content": "first"}, {"role": "assistant", "content": "second"}, '
        b'{"role": "user", "content": "third"}]}'
    )
    run_job(import_prompts(project, "chat.jsonl", [line]).pk, run_import)
    assert shown(admin.get(URL, {"search": "third"})) == ["third"]
    assert shown(admin.get(URL, {"search": "first"})) == []
    assert "Last of 3 messages" in admin.get(URL).text


def test_htmx_gets_the_list_alone(admin, add_prompts):
    add_prompts("Why is the sky blue?")
    page = admin.get(URL, {"search": "sky"}, headers={"HX-Request": "true", "HX-Target": "listed"})
    assert page.text.lstrip().startswith('<div id="listed"')
    assert f'hx-get="{URL}?search=sky"' in page.text


def test_pages_keep_the_filter(admin, add_prompts):
    add_prompts(*(f"Question {number}?" for number in range(26)))
    page = admin.get(URL, {"search": "question"})
    assert len(shown(page)) == 25
    assert f'href="{URL}?search=question&amp;page=2"' in page.text


def test_prompts_of_others_are_not_shown(admin, add_prompts):
    add_prompts("Mine?")
    other = Project.objects.create(name="Other", slug="other")
    run_job(import_prompts(other, "theirs", [b'{"prompt": "Theirs?"}']).pk, run_import)
    import_prompts(Project.objects.get(slug="plain"), "not in yet", [b'{"prompt": "Waiting?"}'])
    assert shown(admin.get(URL)) == ["Mine?"]


def test_its_queries_do_not_grow(admin, add_prompts, sampled, django_assert_num_queries):
    prompts = add_prompts(*(f"Question {number}?" for number in range(10)))
    add_prompts("Another?")
    sampled({prompt: ["yes", "no"] for prompt in prompts})
    # Session, person, project, membership; number of prompts, the prompts, their answers; the newest imports.
    with django_assert_num_queries(8):
        admin.get(URL)


def test_the_queries_of_imports_do_not_grow(admin, add_prompts, django_assert_num_queries):
    for number in range(3):
        add_prompts(f"Question {number}?")
    # Session, person, project, membership; number of imports, the imports.
    with django_assert_num_queries(6):
        admin.get(IMPORTS)


@pytest.mark.parametrize(("url", "method"), [(URL, "get"), (IMPORTS, "get"), (IMPORT, "post")])
def test_it_is_for_admins(client, bob, charlie, project, url, method):
    call = getattr(client, method)
    assert call(url).headers["Location"] == f"/sign-in/?next={url if method == 'get' else '/'}"
    client.force_login(charlie)
    assert call(url).status_code == 404
    client.force_login(bob)
    assert call(url).status_code == 403


@pytest.mark.parametrize(("url", "method"), [(URL, "post"), (IMPORTS, "post"), (IMPORT, "get")])
def test_it_requires_the_right_method(admin, url, method):
    assert getattr(admin, method)(url).status_code == 405
