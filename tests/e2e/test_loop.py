"""Once round the loop as its people go: real model, real vLLM, real browser, real trainer."""

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.vllm, pytest.mark.browser]

PROMPTS = [
    "Why do cats purr? Answer in one sentence.",
    "Give me a friendly name for a bakery.",
    "What is the difference between a lake and a pond?",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Name three fruits that are red.",
]


class Visitor:
    """Somebody at a browser of their own."""

    def __init__(self, browser, stack: Stack, name: str, password: str):
        self.stack = stack
        self.page: Page = browser.new_context(base_url=stack.url).new_page()
        self.page.set_default_timeout(20_000)
        self.page.goto("/sign-in/")
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", password)
        self.page.press("[name=password]", "Enter")
        expect(self.page.get_by_role("heading", level=1, name=re.compile("projects$"))).to_be_visible()

    def wait_for_text(self, text: str, seconds: float) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=seconds * 1000)


@pytest.fixture(scope="module")
def people(browser, winnow):
    accounts = winnow.accounts()
    return {name: Visitor(browser, winnow, name, accounts[name]) for name in ("operator", "admin", "anna", "ben")}


def test_the_whole_loop(winnow, people, tmp_path):
    make_project(people["operator"].page)
    sample(people["admin"], "Not sampled yet")
    judged = judge_with_keys(people["anna"].page)
    assert judge_with_the_mouse(people["ben"].page) == judged
    check_judgements(winnow, judged)
    train(people["admin"])
    sample_with_the_new_policy(people["admin"], winnow)
    export(people["admin"].page, tmp_path)


def make_project(page: Page) -> None:
    """The operator makes a project, adds its people and types its prompts."""
    page.get_by_role("link", name="New project").click()
    page.fill("[name=name]", "Kitchen talk")
    page.fill("[name=overlap]", "2")
    page.fill("[name=answers_per_comparison]", "2")
    page.fill("[name=held_out_percent]", "30")
    page.get_by_role("button", name="Make the project").click()
    expect(page).to_have_url(re.compile("/p/kitchen-talk/prompts/"))
    page.fill("[name=text]", "\n".join(PROMPTS))
    page.get_by_role("button", name="Import these lines").click()
    expect(page.get_by_text(re.compile(r"6 prompts imported"))).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="People").click()
    for name, role in (("admin", "admin"), ("anna", "annotator"), ("ben", "annotator")):
        page.fill("[name=username]", name)
        page.locator("#id_role").select_option(role)
        page.get_by_role("button", name="Add the person").click()
        expect(page.get_by_role("row", name=re.compile(f"^{name}"))).to_be_visible()


def sample(admin: Visitor, which: str) -> None:
    """The admin asks for 4 answers to each prompt and watches them come."""
    admin.page.goto("/p/kitchen-talk/sampling/")
    admin.page.get_by_label("Answers to each").fill("4")
    admin.page.get_by_label("Longest answer").fill("32")
    expect(admin.page.get_by_text("6 prompts × 4 answers")).to_be_visible()
    admin.page.get_by_role("button", name="Sample answers").click()
    expect(admin.page).to_have_url(re.compile(r"/p/kitchen-talk/sampling/\d+/"))
    admin.wait_for_text("Succeeded", 240)  # the server may still be starting, with the demo's first prompts before


def start_judging(page: Page) -> None:
    page.goto("/p/kitchen-talk/judge/")
    start = page.get_by_role("button", name="Start judging").or_(page.get_by_role("link", name="Start judging"))
    if start.count():
        start.first.click()


SEEN = "document.querySelector('#work [name=seen]')?.value ?? 'nothing left'"


def judge_one(page: Page, act) -> None:
    """Do something to the comparison on the page and wait for the next one."""
    before = page.evaluate(SEEN)
    act()
    page.wait_for_function(f"before => ({SEEN}) !== before", arg=before)


def judge_with_keys(page: Page) -> int:
    """Press 1, 2, T and B in turn, take the second one back and judge it again; return how many there were."""
    start_judging(page)
    judged = 0
    while page.evaluate(SEEN) != "nothing left":
        key = "12tb"[judged % 4]
        judge_one(page, lambda key=key: page.keyboard.press(key))
        judged += 1
        if judged == 2:
            judge_one(page, lambda: page.keyboard.press("u"))
            expect(page.get_by_text("Taken back: choose again.", exact=True)).to_be_visible()
            judge_one(page, lambda: page.keyboard.press("1"))
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    return judged


def judge_with_the_mouse(page: Page) -> int:
    start_judging(page)
    judged = 0
    while page.evaluate(SEEN) != "nothing left":
        judge_one(page, lambda: page.get_by_role("button", name=re.compile("^Answer 1")).click())
        judged += 1
    return judged


def check_judgements(winnow: Stack, judged: int) -> None:
    """Both judged every comparison, each with one standing judgement; one was taken back in between."""
    ours = "JOIN annotate_comparison c ON c.id = j.comparison_id JOIN projects_project p ON p.id = c.project_id"
    ours += " WHERE p.slug = 'kitchen-talk'"
    assert judged >= 6
    assert winnow.query(f"SELECT count(*), count(DISTINCT j.comparison_id) FROM annotate_judgement j {ours}") == [
        (2 * judged, judged)
    ]
    revisions = winnow.query(
        f"SELECT r.kind, count(*) FROM annotate_revision r JOIN annotate_judgement j ON j.id = r.judgement_id {ours} "
        "GROUP BY r.kind"
    )
    assert sum(count for _, count in revisions) == 2 * judged + 2
    assert dict(revisions)["withdrawn"] == 1


def train(admin: Visitor) -> None:
    """The admin launches a round of a few steps and waits for its policy."""
    page = admin.page
    page.goto("/p/kitchen-talk/rounds/launch/")
    page.get_by_label("At most", exact=True).fill("2")
    page.get_by_role("button", name="Train round 1").click()
    expect(page).to_have_url(re.compile("/p/kitchen-talk/rounds/1/"))
    admin.wait_for_text("Succeeded", 300)
    expect(page.get_by_text("Kitchen talk, round 1").first).to_be_visible()
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    expect(page.get_by_text(re.compile("an answer has .* tokens on average"))).to_be_visible(timeout=120_000)


def sample_with_the_new_policy(admin: Visitor, winnow: Stack) -> None:
    page = admin.page
    page.get_by_role("link", name="Sample from it").click()
    page.get_by_label("Prompts").select_option("all")
    page.get_by_label("Longest answer").fill("32")
    page.get_by_role("button", name="Sample answers").click()
    admin.wait_for_text("Succeeded", 180)
    rows = winnow.query(
        "SELECT p.name, count(*) FROM generation_completion c JOIN generation_policy p ON p.id = c.policy_id "
        "JOIN generation_samplingitem i ON i.id = c.item_id WHERE i.job_id = (SELECT max(job_ptr_id) FROM "
        "generation_samplingjob) GROUP BY p.name"
    )
    assert rows == [("Kitchen talk, round 1", 24)]


def export(page: Page, folder: Path) -> None:
    """Download the dataset and load it as its users do."""
    import datasets

    page.goto("/p/kitchen-talk/datasets/")
    with page.expect_download() as download:
        page.get_by_role("link", name="train", exact=True).first.click()
    file = folder / "pairs.jsonl"
    download.value.save_as(file)
    rows = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(folder / "cache"))
    assert sorted(rows.column_names) == ["chosen", "prompt", "rejected"]
    assert len(rows) == len(file.read_text().splitlines()) > 0
    first = json.loads(file.read_text().splitlines()[0])
    assert first["prompt"][-1]["content"] in PROMPTS
    assert rows[0]["chosen"][0]["role"] == rows[0]["rejected"][0]["role"] == "assistant"
    assert rows[0]["chosen"][0]["content"] != rows[0]["rejected"][0]["content"]


def test_the_vllm_server_is_killed_in_the_middle(winnow):
    """It comes back, and every prompt ends with exactly its completions."""
    winnow.manage("sample", "demo", "--prompts", "held-out", "-n", "3", "--max-tokens", "24", "--no-wait")
    job_id = winnow.newest_job()
    wait_until(lambda: winnow.job(job_id)["message"].startswith("0 of") or winnow.job(job_id)["progress"], 120, "it")
    server = winnow.process_of("vllm.entrypoints.openai.api_server")
    server.kill()
    time.sleep(1)
    leftovers = [process for process in winnow.processes() if "VLLM" in " ".join(process.cmdline())]
    started = wait_until(lambda: winnow.query("SELECT server FROM jobs_device") == [("starting",)], 30, "its start")
    assert started and not [process for process in leftovers if process.is_running()]
    winnow.wait_for_job(job_id, 240)
    rows = winnow.query(
        "SELECT count(c.id), count(DISTINCT c.'index') FROM generation_samplingitem i "
        "JOIN generation_completion c ON c.item_id = i.id WHERE i.job_id = ? GROUP BY i.id",
        job_id,
    )
    assert rows == [(3, 3)] * 15
