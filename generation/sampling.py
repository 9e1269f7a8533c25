"""Sampling jobs: making one, and running it on a device so that nothing is lost or doubled."""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from generation.engine import EngineUnavailable, Parameters, Request, Sampled, VllmEngine
from generation.models import Completion, Context, Policy, SamplingItem, SamplingJob
from generation.signals import item_sampled
from jobs import devices, stopping
from jobs.attempts import Attempt, JobError, submit
from jobs.models import Device, Job
from projects.models import Project, Prompt
from projects.prompts import UNSTORABLE

logger = logging.getLogger(__name__)

MOST_FAILURES = 5  # of the server in a row, without a completion in between …
FAILURE_PATIENCE_SECONDS = 120.0  # … and for so long: a device process that died needs some time to come back
PAUSE_AFTER_FAILURE_SECONDS = 2.0


def create_sampling_job(
    project: Project,
    policies: Iterable[Policy],
    prompts: Iterable[Prompt],
    *,
    parameters: Parameters,
    seed: int | None = None,
    purpose: str = SamplingJob.Purpose.JUDGING,
    title: str = "",
    user: User | None = None,
) -> SamplingJob:
    """Freeze the list of prompts and queue the job.

    Raises:
        ValueError: there is no prompt, or no policy.
    """
    prompts, policies = list(prompts), list(policies)
    if not prompts or not policies:
        raise ValueError("A sampling job needs at least one prompt and one policy.")
    seed = secrets.randbelow(2**31) if seed is None else seed
    names = " and ".join(policy.name for policy in policies)
    job = SamplingJob(
        queue=Job.Queue.SAMPLING,
        task="generation.tasks.run_sampling_job",
        title=(title or f"sampling from {names}")[:200],
        total=len(prompts) * len(policies),
        created_by=user,
        project=project,
        purpose=purpose,
        seed=seed,
        **parameters.__dict__,
    )
    pairs = [(policy, prompt) for policy in policies for prompt in prompts]
    with transaction.atomic():
        submit(job)
        SamplingItem.objects.bulk_create(
            [
                # Seeds are n apart: no two completions of a job share one.
                SamplingItem(job=job, policy=policy, prompt=prompt, position=i, seed=seed + i * parameters.n)
                for i, (policy, prompt) in enumerate(pairs)
            ],
            batch_size=500,
        )
    return job


def asked_for(project: Project) -> "QuerySet[SamplingItem]":
    """Return the items of judging jobs that are answered, refused, or on their way; not what a cancelled job left."""
    items = SamplingItem.objects.filter(job__project=project, job__purpose=SamplingJob.Purpose.JUDGING)
    on_its_way = Q(job__status__in=[Job.Status.QUEUED, Job.Status.RUNNING])
    return items.filter(~Q(status=SamplingItem.Status.PENDING) | on_its_way)


def unsampled_prompts(project: Project) -> Iterable[Prompt]:
    """Return the prompts that no judging job of the project has answered or is going to, oldest first."""
    asked = asked_for(project)
    return Prompt.objects.imported().filter(project=project).exclude(pk__in=asked.values("prompt")).order_by("pk")


def run_sampling_job(attempt: Attempt) -> None:
    """Answer what is pending, on a device, yielding it to a waiting round at a prompt boundary."""
    job = SamplingJob.objects.get(pk=attempt.job_id)
    failures, answered, well_until = 0, _answered(job), time.monotonic()
    while pending := job.items.filter(status=SamplingItem.Status.PENDING).order_by("position").first():
        policy = Policy.objects.select_related("base").get(pk=pending.policy_id)
        rank = policy.lora_rank or _largest_rank(policy)
        device = devices.acquire(attempt, Device.Purpose.SAMPLING, policy.checkpoint, rank)
        try:
            _sample_on(device, attempt, job, policy)
        except EngineUnavailable as error:
            before, answered = answered, _answered(job)
            if answered > before:
                failures, well_until = 0, time.monotonic()
            failures += 1
            if failures > MOST_FAILURES and time.monotonic() - well_until > FAILURE_PATIENCE_SECONDS:
                raise JobError(f"{error} It failed {failures} times without an answer in between.") from error
            logger.warning("%s: %s", job, error)
            attempt.beat(message=f"{error} Trying again.")
            stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
        finally:
            devices.release(device, attempt)
    failed = job.items.filter(status=SamplingItem.Status.FAILED).count()
    if failed and failed == job.items.count():
        reason = job.items.values_list("error", flat=True).first()
        raise JobError(f"The model refused every prompt. The first refusal: {reason}")


def _largest_rank(base: Policy) -> int:
    """Return the largest LoRA rank on this base, so that the server need not be started anew for an adapter."""
    rank: int | None = base.adapters.aggregate(most=Max("lora_rank"))["most"]
    return rank or 0


def _answered(job: SamplingJob) -> int:
    return job.items.exclude(status=SamplingItem.Status.PENDING).count()


def _sample_on(device: Device, attempt: Attempt, job: SamplingJob, policy: Policy) -> None:
    """Answer this policy's pending prompts until done or until a round wants the device."""
    url = devices.wait_for_server(device, attempt)
    engine = VllmEngine(url, policy.served_name)
    engine.prepare(policy.folder if policy.base_id else None)
    items = job.items.filter(status=SamplingItem.Status.PENDING, policy=policy).select_related("prompt")
    by_key = {item.pk: item for item in items.order_by("position")}
    requests = (Request(item.pk, item.prompt.messages, item.seed) for item in by_key.values())
    parameters = Parameters(job.n, job.temperature, job.top_p, job.top_k, job.max_tokens)
    done = _answered(job)

    def tick() -> bool:
        attempt.beat(progress=done, message=f"{done:,} of {job.total:,} prompts answered")
        return not devices.must_yield(device)

    for sampled in engine.sample(requests, parameters, tick):
        store(attempt, by_key[sampled.key], policy, sampled)
        done += 1
    attempt.beat(progress=done, message="")


def store(attempt: Attempt, item: SamplingItem, policy: Policy, sampled: Sampled) -> None:
    """Store an item's completions, all of them or, when the attempt has ended, none."""
    with attempt.writing():
        if sampled.refusal:
            item.status, item.error = SamplingItem.Status.FAILED, sampled.refusal
            item.save(update_fields=["status", "error"])
            return
        context = _context(item.prompt, policy.tokenizer_fingerprint, sampled.context_token_ids)
        Completion.objects.bulk_create(
            [
                Completion(
                    prompt=item.prompt,
                    context=context,
                    policy=policy,
                    item=item,
                    index=answer.index,
                    seed=item.seed + answer.index,
                    text=UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", answer.text),
                    token_ids=answer.token_ids,
                    log_probability=answer.log_probability,
                    finish_reason=answer.finish_reason,
                )
                for answer in sampled.answers
            ]
        )
        item.status = SamplingItem.Status.DONE
        item.save(update_fields=["status"])
        item_sampled.send(sender=SamplingItem, item=item)


def _context(prompt: Prompt, tokenizer_fingerprint: str, token_ids: list[int]) -> Context:
    digest = hashlib.sha256(json.dumps(token_ids).encode()).hexdigest()
    context, _ = Context.objects.get_or_create(
        prompt=prompt,
        tokenizer_fingerprint=tokenizer_fingerprint,
        digest=digest,
        defaults={"messages": prompt.messages, "token_ids": token_ids},
    )
    return context
