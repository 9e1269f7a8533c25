"""Rounds: their settings, launching one, and running the trainer for it."""

import json
import logging
import shutil
import sys
from dataclasses import asdict, dataclass
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
from train.datasets import freeze, new_dataset, part_file
from train.engine.config import LoraConfig, LossConfig, PolicyConfig, TrainingConfig
from train.models import Round, RoundMetric

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
STOP_PATIENCE_SECONDS = 10
KILLED = 128 + 9
MOST_COMPARED_PROMPTS = 50  # held-out prompts answered before and after a round


@dataclass(frozen=True)
class RoundSettings:
    """What an admin chooses for a round; the rest of the trainer's configuration follows from it."""

    method: str = "lora"  # "lora" or "full"
    lora_rank: int = 16
    beta: float = 0.1
    learning_rate: float = 2e-4
    epochs: int = 1
    groups_per_step: int = 4
    max_steps: int | None = None
    seed: int = 0

    def engine_config(self, round: Round, output: Path) -> TrainingConfig:
        """Return the trainer's configuration.

        Raises:
            ConfigError: a setting is out of its range; the text names it.
        """
        start, reference = round.start, round.reference
        held_out = round.dataset.held_out_groups > 0
        return TrainingConfig(
            model=start.checkpoint,
            adapter=start.folder if start.base_id else None,
            reference=PolicyConfig(model=reference.checkpoint, adapter=reference.folder if reference.base_id else None),
            data=str(part_file(round.dataset, Prompt.Side.TRAIN)),
            held_out=str(part_file(round.dataset, Prompt.Side.HELD_OUT)) if held_out else None,
            output=str(output),
            reference_cache=str(settings.WINNOW_HOME / "run" / "reference-cache"),
            loss=LossConfig(beta=self.beta),
            method=self.method,
            lora=LoraConfig(rank=self.lora_rank, alpha=2 * self.lora_rank) if self.method == "lora" else None,
            learning_rate=self.learning_rate,
            warmup_share=0.1,
            epochs=self.epochs,
            max_steps=self.max_steps,
            groups_per_step=self.groups_per_step,
            token_budget=TOKEN_BUDGET,
            seed=self.seed,
        )


TOKEN_BUDGET = 4096  # tokens sent through the model at once, at most


@transaction.atomic
def launch_round(
    project: Project,
    start: Policy,
    chosen: RoundSettings,
    *,
    reference: Policy | None = None,
    user: User | None = None,
) -> Round:
    """Number a round and its dataset, and queue it. What is judged later belongs to the next round.

    Raises:
        NothingToTrainOn: no judgement prefers one answer to another.
        ConfigError: a setting is out of its range.
    """
    dataset = new_dataset(project, user)
    number = (project.rounds.aggregate(most=Max("number"))["most"] or 0) + 1
    round = Round(
        queue=Job.Queue.TRAINING,
        task="train.tasks.run_round",
        title=f"round {number} of {project}",
        created_by=user,
        project=project,
        number=number,
        dataset=dataset,
        start=start,
        reference=reference or start,
        configuration=asdict(chosen),
    )
    chosen.engine_config(round, Path("/"))  # raises now what would stop the trainer later
    submit(round)
    return round


def run_round(attempt: Attempt) -> None:
    """Freeze the dataset, train in a child process on a device, and register the policy."""
    round = Round.objects.select_related("dataset__project", "start__base", "reference__base", "project").get(
        pk=attempt.job_id
    )
    attempt.beat(message=f"Freezing {round.dataset}.")
    freeze(round.dataset)
    device = devices.acquire(attempt, Device.Purpose.TRAINING)
    try:
        _wait_for_memory(device, attempt)
        output = _train(attempt, round)
    finally:
        devices.release(device, attempt)
    _register(attempt, round, output)


def run_folder(round: Round) -> Path:
    return settings.WINNOW_HOME / "rounds" / str(round.pk)


def _wait_for_memory(device: Device, attempt: Attempt) -> None:
    """Wait until the model server has left the GPU. On a CPU it may stay."""
    while device.kind != "cpu" and device.server != Device.Server.STOPPED:
        attempt.beat(message="Waiting for the model server to leave the device.")
        stopping.wait(POLL_SECONDS)
        device.refresh_from_db()


def _train(attempt: Attempt, round: Round) -> Path:
    """Run the trainer to its end and return its output folder.

    Raises:
        JobError: the trainer said why it cannot.
        Died: it was killed.
    """
    output = run_folder(round) / f"attempt-{attempt.number}"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    config = RoundSettings(**round.configuration).engine_config(round, output)
    config_file = run_folder(round) / f"attempt-{attempt.number}.json"
    config_file.write_text(json.dumps(config.to_dict(), indent=2))
    log = run_folder(round) / "trainer.log"
    command = [sys.executable, "-m", "train.engine", str(config_file)]
    child = Child(command, log=log, cwd=settings.BASE_DIR, lock=run_folder(round) / "lock")
    try:
        _follow(attempt, round, child, output / "metrics.jsonl")
    except (CancelRequested, StopRequested):
        child.stop(STOP_PATIENCE_SECONDS)
        raise
    finally:
        status = child.kill()
    if status == KILLED:
        raise Died("The trainer was killed, most often because the machine ran out of memory.")
    if status:
        raise JobError(_reason(output, log, status))
    return output


def _follow(attempt: Attempt, round: Round, child: Child, metrics: Path) -> None:
    """Store the trainer's metrics as they come, until it ends."""
    read = lines = 0
    while True:
        ended = child.status() is not None
        if metrics.exists():
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
    steps = [row for row in rows if "step" in row]
    if steps:
        attempt.beat(progress=steps[-1]["step"], total=steps[-1]["steps"], message="")
    if "stage" in rows[-1]:
        stage = rows[-1]
        attempt.beat(message=f"{stage['stage'].capitalize()}: {stage['done']:,} of {stage['total']:,}.")


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
