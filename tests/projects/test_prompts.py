"""What a line may say, which side a prompt is on, and the import."""

import json

import pytest
from django.core.management import CommandError, call_command

from jobs.attempts import run_job
from jobs.models import Job
from projects.models import Prompt, PromptImport
from projects.prompts import PromptError, digest, import_prompts, lines_to_jsonl, parse_jsonl, run_import, side

USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello"}


def parse(*rows):
    return list(parse_jsonl([row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]))


def test_it_works():
    first, second = parse(
        {"prompt": "Hi", "id": 7, "system": "Be brief.", "metadata": {"kind": "talk"}},
        b"  \n",
        {"messages": [USER, ASSISTANT, USER]},
    )
    assert first.messages == [{"role": "system", "content": "Be brief."}, USER]
    assert (first.external_id, first.metadata) == ("7", {"kind": "talk"})
    assert second.messages == [USER, ASSISTANT, USER]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{", "Line 2: it is not JSON: Expecting property name enclosed in double quotes at character 2."),
        (b"\xff", "Line 2: it is not UTF-8 text (byte 1). Save the file as UTF-8."),
        ([], 'Line 2: it holds an empty list, not an object such as {"prompt": "…"}.'),
        ({}, "Line 2: it needs either “prompt” (text) or “messages” (a list), and not both."),
        (
            {"prompt": "a", "messages": []},
            "Line 2: it needs either “prompt” (text) or “messages” (a list), and not both.",
        ),
        (
            {"prompt": "a", "promt": 1},
            "Line 2: unknown key “promt”. Allowed are id, messages, metadata, prompt, system.",
        ),
        ({"prompt": " "}, "Line 2: message 1 (user) must hold text, got an empty text."),
        ({"prompt": 5}, "Line 2: message 1 (user) must hold text, got a number."),
        ({"messages": "Hi"}, "Line 2: “messages” must be a list of at least one message, got a text."),
        (
            {"messages": [{"role": "human", "content": "a"}]},
            "Line 2: message 1 has the role 'human'; allowed are system, user, assistant.",
        ),
        ({"messages": [USER, ASSISTANT]}, "Line 2: the last message must be the user's: it is what the model answers."),
        ({"messages": [USER, USER]}, "Line 2: user and assistant must take turns, user first; got user, user."),
        ({"prompt": "a\x00b"}, "Line 2: message 1 holds a NUL character or half of a surrogate pair. Remove it."),
        (b'{"prompt": "\\ud800"}', "Line 2: message 1 holds a NUL character or half of a surrogate pair. Remove it."),
        (b'{"prompt": "a", "metadata": {"score": NaN}}', "Line 2: NaN is no JSON. Write null, or leave it out."),
        (b'{"prompt": "a", "id": {}}', "Line 2: “id” must be a text or a number, got an object."),
        (
            b'{"prompt": "a", "metadata": {"x": ' + b"9" * 5000 + b"}}",
            "Line 2: it holds a number of thousands of digits, or is nested too deeply.",
        ),
        (b"[" * 100_000, "Line 2: it holds a number of thousands of digits, or is nested too deeply."),
        (
            b'{"prompt": "a", "metadata": {"x": 1e999}}',
            "Line 2: “metadata” holds a number that is too large. Write it as a text.",
        ),
        (
            {"prompt": "a", "metadata": {"x": ["\0"]}},
            "Line 2: “metadata” holds a NUL character or half of a surrogate pair. Remove it.",
        ),
        (
            {"prompt": "a", "metadata": {"\0": 1}},
            "Line 2: “metadata” holds a NUL character or half of a surrogate pair. Remove it.",
        ),
        ({"prompt": "a", "id": "a\0"}, "Line 2: “id” holds a NUL character or half of a surrogate pair. Remove it."),
        (
            b'{"prompt": "a", "metadata": {"x": ' + b"[" * 60 + b"]" * 60 + b"}}",
            "Line 2: “metadata” is nested more than 50 deep.",
        ),
        (
            {"prompt": "a", "k" * 3000: 1},
            f"Line 2: unknown key “{'k' * 40}”. Allowed are id, messages, metadata, prompt, system.",
        ),
        ({"prompt": "a", "metadata": []}, "Line 2: “metadata” must be an object, got an empty list."),
        ({"prompt": "a" * 100_001}, "Line 2: message 1 has 100,001 characters; at most 100,000 are allowed."),
    ],
)
def test_it_rejects_a_wrong_line_by_number(row, message):
    with pytest.raises(PromptError) as error:
        parse({"prompt": "fine"}, row)
    assert str(error.value) == message


def test_the_digest_is_of_role_and_content_alone():
    assert digest([USER]) == digest([{"content": "Hi", "role": "user", "name": "x"}])
    assert digest([USER]) != digest([{"role": "user", "content": "hi"}])
    # Literal, so that other tools can make the same: SHA-256 of [{"content":"Hi","role":"user"}]
    assert digest([USER]) == "557f6d9586f57ae72d24a7d34f47ed219efecbc197894dfead83851aaa02e87f"


def test_copies_of_a_question_are_on_one_side():
    system = {"role": "system", "content": "Be brief."}
    for text in (f"question {number}" for number in range(50)):
        variants = [text, f"  {text.upper()} ", text.replace(" ", "\u00a0")]
        sides = {side([{"role": "user", "content": variant}], 50) for variant in variants}
        sides.add(side([system, {"role": "user", "content": text}, ASSISTANT, USER], 50))
        assert len(sides) == 1


def test_the_share_held_out_is_about_what_was_asked_for():
    held_out = sum(side([{"role": "user", "content": f"q{n}"}], 10) == "held_out" for n in range(5000))
    assert 430 < held_out < 570
    assert side([USER], 0) == "train"


@pytest.mark.django_db
class TestImport:
    def test_it_counts_duplicates_and_stores_them_once(self, project):
        job = import_prompts(project, "typed", [lines_to_jsonl("a\n\nb\n a \n").encode()])
        run_job(job.pk, run_import)
        job.refresh_from_db()
        assert (job.status, job.added, job.duplicates) == (Job.Status.SUCCEEDED, 2, 1)
        again = import_prompts(project, "typed", [lines_to_jsonl("b\nc").encode()])
        run_job(again.pk, run_import)
        again.refresh_from_db()
        assert (again.added, again.duplicates) == (1, 1)
        assert Prompt.objects.imported().filter(project=project).count() == 3

    def test_a_wrong_line_stores_nothing(self, project):
        with pytest.raises(PromptError, match="Line 2"):
            import_prompts(project, "file", [b'{"prompt": "a"}\n', b"oops\n"])
        assert not PromptImport.objects.exists()
        assert not Prompt.objects.exists()

    def test_an_empty_file_is_no_import(self, project):
        with pytest.raises(PromptError, match="There is no prompt in it."):
            import_prompts(project, "file", [b"\n\n"])

    def test_prompts_are_visible_when_the_import_has_succeeded(self, project, add_prompts):
        add_prompts("a")
        PromptImport.objects.update(status=Job.Status.RUNNING)
        assert not Prompt.objects.imported().exists()

    def test_what_a_failed_import_left_is_no_duplicate(self, project, add_prompts):
        add_prompts("a")
        PromptImport.objects.update(status=Job.Status.FAILED)
        add_prompts("a")
        job = PromptImport.objects.order_by("-pk").first()
        assert (job.added, job.duplicates) == (1, 0)

    def test_the_command(self, project, tmp_path, capsys):
        file = tmp_path / "prompts.jsonl"
        file.write_text('{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "a"}\n')
        call_command("import_prompts", "plain", str(file))
        assert capsys.readouterr().out.startswith("2 prompts imported, 1 were there already, ")

    @pytest.mark.django_db(transaction=True)
    def test_the_command_tells_the_same_when_a_worker_is_quicker(self, project, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr("jobs.attempts.announce", lambda job: run_job(job.pk, run_import))
        file = tmp_path / "prompts.jsonl"
        file.write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
        call_command("import_prompts", "plain", str(file))
        assert capsys.readouterr().out.startswith("2 prompts imported, 0 were there already, ")

    def test_the_command_names_what_is_wrong(self, project, tmp_path):
        with pytest.raises(CommandError, match="There is no project 'other'. There are: plain."):
            call_command("import_prompts", "other", "x")
        with pytest.raises(CommandError, match="cannot be read: No such file or directory."):
            call_command("import_prompts", "plain", str(tmp_path / "none"))
        file = tmp_path / "wrong.jsonl"
        file.write_text('{"prompt": ""}')
        with pytest.raises(CommandError, match="Line 1: .* Nothing was imported."):
            call_command("import_prompts", "plain", str(file))
