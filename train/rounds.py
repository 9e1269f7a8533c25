"""Rounds: launching one, and running the trainer for it."""

import json
import logging
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from generation.engine import Parameters
from generation.models import Policy, SamplingJob
from generation.policies import describe, store_policy
from generation.sampling import create_sampling_job
from jobs import devices, stopping
from jobs.attempts import Attempt, CancelRequested, Died, JobError, StopRequested, submit
from jobs.models import Device, Job
from jobs.processes import Child, tail
from projects.models import Project, Prompt
from train.datasets import USUAL, freeze, numbered_dataset
from train.engine.config import TrainingConfig
from train.models import Dataset, Round, RoundMetric
from train.recipes import RoundSettings
from train.rules import Rule

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
MOST_HALVINGS = 3  # of the token budget, where the trainer is killed
STOP_PATIENCE_SECONDS = 7  # the page promises 10
KILLED = 128 + 9
MOST_COMPARED_PROMPTS = 50  # held-out prompts answered before and after a round


def launch_round(
    project: Project,
    start: Policy,
    chosen: RoundSettings,
    *,
    rule: Rule | None = None,
    dataset: Dataset | None = None,
    reference: Policy | None = None,
    user: User | None = None,
) -> Round:
    """Number a round, and queue it. What is judged later belongs to the next round.

    It trains on the dataset, or on that of the rule; without either, on all that is judged by now.

    Raises:
        NothingToTrainOn: the rule finds no pair of a training prompt's answers.
        ConfigError: a setting is out of its range.
    """
    round = Round(
        queue=Job.Queue.TRAINING,
        task="train.tasks.run_round",
        created_by=user,
        project=project,
        dataset=dataset or Dataset(project=project),
        start=start,
        reference=reference or start,
        configuration=asdict(chosen),
    )
    chosen.engine_config(round, Path("/"))  # raises now what would stop the trainer later
    round.dataset = dataset or numbered_dataset(project, user, rule or USUAL)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers are given out one at a time
        round.number = (project.rounds.aggregate(most=Max("number"))["most"] or 0) + 1
        round.title = f"round {round.number} of {project}"
        submit(round)
    return round


def run_round(attempt: Attempt) -> None:
    """Freeze the dataset, train in a child process on a device, and register the policy."""
    round = Round.objects.select_related("dataset__project", "start__base", "reference__base", "project").get(
        pk=attempt.job_id
    )
    attempt.beat(message=f"Freezing {round.dataset}.")
    freeze(round.dataset, lambda done: attempt.beat(message=f"Freezing {round.dataset}: {done:,} comparisons."))
    device = devices.acquire(attempt, Device.Purpose.TRAINING)
    try:
        _wait_for_memory(device, attempt)
        output = _train(attempt, round)
    finally:
        devices.release(device, attempt)
    _register(attempt, round, output)


def run_folder(round: Round) -> Path:
    return settings.WINNOW_HOME / "rounds" / str(round.pk)


def checkpoint_step(round: Round) -> int:
    """Return the step from which a round would go on; 0 is its beginning."""
    steps = [int(path.name.removeprefix("step-")) for path in run_folder(round).glob("run/checkpoints/step-????????")]
    return max(steps, default=0)


def _wait_for_memory(device: Device, attempt: Attempt) -> None:
    """Wait until the model server has left the GPU. On a CPU it may stay."""
    while device.kind != "cpu" and device.server != Device.Server.STOPPED:
        attempt.beat(message="Waiting for the model server to leave the device.")
        stopping.wait(POLL_SECONDS)
        device.refresh_from_db()


def _train(attempt: Attempt, round: Round) -> Path:
    """Run the trainer to its end, from its last checkpoint where it has one, and return its output folder.

    A trainer that is killed has most often taken too much memory: it goes on with half the tokens at once.

    Raises:
        JobError: the trainer said why it cannot.
        Died: it was killed too often.
    """
    output = run_folder(round) / "run"
    output.mkdir(parents=True, exist_ok=True)
    (output / "error.json").unlink(missing_ok=True)
    config = RoundSettings(**round.configuration).engine_config(round, output)
    for killed in range(MOST_HALVINGS + 1):
        if _is_done(output):  # an earlier attempt died between training and registering
            return output
        if killed:
            config = replace(config, token_budget=max(1, config.token_budget // 2))
            _warn(
                attempt,
                round,
                "The trainer was killed, most often because the machine ran out of memory. It goes on from its last "
                f"checkpoint with half the tokens at once, {config.token_budget:,}.",
            )
        status = _run_trainer(attempt, round, config, output)
        if status != KILLED:
            break
    if _is_done(output):
        return output
    if status == KILLED:
        raise Died(
            f"The trainer was killed {MOST_HALVINGS + 1} times, the last time with {config.token_budget:,} tokens at "
            "once: the machine has too little memory for this round. Train an adapter, or a smaller model."
        )
    raise JobError(_reason(output, run_folder(round) / "trainer.log", status))


def _is_done(output: Path) -> bool:
    """Whether the trainer has written all it writes; the summary comes last."""
    return (output / "summary.json").exists() and (output / "policy").exists()


def _run_trainer(attempt: Attempt, round: Round, config: TrainingConfig, output: Path) -> int:
    """Run the trainer once and return its exit status."""
    config_file = run_folder(round) / "config.json"
    config_file.write_text(json.dumps(config.to_dict(), indent=2))
    log = run_folder(round) / "trainer.log"
    metrics = output / "metrics.jsonl"
    old = metrics.stat().st_ino if metrics.exists() else None
    command = [sys.executable, "-m", "train.engine", str(config_file)]
    child = Child(command, log=log, cwd=settings.BASE_DIR, lock=run_folder(round) / "lock")
    try:
        _follow(attempt, round, child, metrics, old)
    except (CancelRequested, StopRequested):
        child.stop(STOP_PATIENCE_SECONDS)
        raise
    finally:
        status = child.kill()
    return status


def _follow(attempt: Attempt, round: Round, child: Child, metrics: Path, old: int | None) -> None:
    """Store the trainer's metrics as they come, until it ends.

    A trainer begins a new file, with what it keeps of the old one: the file with the inode `old` is not read.
    """
    RoundMetric.objects.filter(round=round, attempt=attempt.number).delete()
    read = lines = 0
    while True:
        ended = child.status() is not None
        if metrics.exists() and metrics.stat().st_ino != old:
            with metrics.open("rb") as file:
                file.seek(read)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                read += len(whole) + 1
                rows = [json.loads(line) for line in whole.splitlines()]
                _store_metrics(attempt, round, lines, rows)
                lines += len(rows)
        if ended:
            return
        attempt.beat()
        stopping.wait(POLL_SECONDS)


def _store_metrics(attempt: Attempt, round: Round, first: int, rows: list[dict[str, Any]]) -> None:
    with attempt.writing():
        RoundMetric.objects.bulk_create(
            RoundMetric(round=round, attempt=attempt.number, line=first + i, values=values)
            for i, values in enumerate(rows)
        )
    for row in rows:
        if "warning" in row:
            _warn(attempt, round, row["warning"])
    steps = [row for row in rows if "step" in row]
    if steps:
        attempt.beat(progress=steps[-1]["step"], total=steps[-1]["steps"], message="")
    if "stage" in rows[-1]:
        stage = rows[-1]
        attempt.beat(message=f"{stage['stage'].capitalize()}: {stage['done']:,} of {stage['total']:,}.")


def _warn(attempt: Attempt, round: Round, sentence: str) -> None:
    """Keep with the round what a person should be told of it, once."""
    if sentence not in round.warnings:
        round.warnings = [*round.warnings, sentence]
        with attempt.writing():
            Round.objects.filter(pk=round.pk).update(warnings=round.warnings)


def _reason(output: Path, log: Path, status: int) -> str:
    error = output / "error.json"
    if error.exists():
        return str(json.loads(error.read_text())["error"])
    return f"The trainer ended with exit status {status}. The end of {log}:\n{tail(log)}"


def _register(attempt: Attempt, round: Round, output: Path) -> None:
    """Make the trained weights a policy, and have the held-out prompts answered before and after."""
    facts = describe(attempt, str(output / "policy"))
    summary = json.loads((output / "summary.json").read_text())
    base = (round.start.base or round.start) if facts["lora_rank"] else None
    with attempt.writing():
        name = f"{round.project.name}, round {round.number}"
        policy = store_policy(name, facts, project=round.project, base=base, parent=round.start)
        compare = _before_and_after(round, policy)
        Round.objects.filter(pk=round.pk).update(policy=policy, summary=summary, before_and_after=compare)
    shutil.rmtree(output / "checkpoints", ignore_errors=True)  # a round that is done needs none


def _before_and_after(round: Round, policy: Policy) -> SamplingJob | None:
    prompts = Prompt.objects.imported().held_out().filter(project=round.project).order_by("pk")[:MOST_COMPARED_PROMPTS]
    if not prompts:
        return None
    last = round.project.sampling_jobs.filter(purpose=SamplingJob.Purpose.JUDGING).order_by("-pk").first()
    most = last.max_tokens if last else SamplingJob._meta.get_field("max_tokens").default
    return create_sampling_job(
        round.project,
        dict.fromkeys([round.start, policy]),  # the same weights are the same policy
        prompts,
        parameters=Parameters(n=1, temperature=0.0, top_p=1.0, top_k=0, max_tokens=most),
        seed=0,
        purpose=SamplingJob.Purpose.COMPARE,
        title=f"held-out answers before and after round {round.number}",
        user=round.created_by,
    )
