"""What the home pages show: the projects of a person, how one project's loop stands, and the next sensible step."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Now
from django.urls import reverse

from annotate.checks import told_left
from annotate.models import COUNTED, REAL, Comparison, Judgement, Lease, PreferencePair, Revision
from annotate.queue import left_for, live
from annotate.review import LeftOut, left_out
from generation.models import Policy, SamplingItem, SamplingJob
from generation.sampling import asked_for
from jobs.devices import online_devices
from jobs.models import Device, Job
from projects.models import Membership, Project, Prompt, PromptImport
from train.models import Round

ENOUGH_PAIRS = 20  # new ones, for a round to be worth its time
LATELY = timedelta(hours=24)
WORKER_PATIENCE = timedelta(seconds=60)  # how long a queued job may lie before somebody is told
MESSAGE_PATIENCE = timedelta(seconds=3)  # the same after it was announced again, as resuming does
KINDS = ("promptimport", "samplingjob", "round")


@dataclass(frozen=True)
class Entry:
    """A project in the list of those that a person may open."""

    project: Project
    role: str
    to_judge: int  # as annotate.checks.told_left has it; 0 is nothing


def entries(person: User, projects: Iterable[Project]) -> list[Entry]:
    projects = list(projects)
    mine = Membership.objects.filter(user=person, project__in=projects, left_at=None)
    roles = dict(mine.values_list("project", "role"))
    waiting = waiting_for(person, projects)
    # What lies before them may be a check, which is not counted: without it the list would tell that it is one.
    before_them = set(Lease.objects.filter(live(), person=person).values_list("project", flat=True))
    to_judge = {
        project.pk: told_left(project, waiting.get(project.pk, 0))
        for project in projects
        if project.pk in waiting or project.pk in before_them
    }
    return [Entry(project, roles.get(project.pk, "operator"), to_judge.get(project.pk, 0)) for project in projects]


def waiting_for(person: User, projects: list[Project]) -> dict[int, int]:
    """Return what `annotate.queue.left_for` says of each project, by its id, in one query."""
    judged = Judgement.objects.votes().filter(person=person).exclude(current__kind=Revision.Kind.WITHDRAWN)
    others = Count("leases", filter=Q(leases__expires_at__gt=Now()) & ~Q(leases__person=person))
    unfinished = Comparison.objects.filter(project__in=projects, judged__lt=F("wanted"))
    free = unfinished.annotate(others=others).filter(judged__lt=F("wanted") - F("others"))
    open_to_person = free.exclude(pk__in=judged.values("comparison"))
    counts = Comparison.objects.filter(pk__in=open_to_person.values("pk")).values_list("project")
    return dict(counts.annotate(Count("pk")))


@dataclass(frozen=True)
class Loop:
    """How a project's loop stands for one person."""

    project: Project
    prompts: int = 0
    held_out: int = 0
    unsampled: int = 0
    answers: int = 0
    judgements: int = 0
    judged_lately: int = 0
    people_lately: int = 0
    all_bad: int = 0
    open_comparisons: int = 0
    to_judge: int = 0  # comparisons that this person may judge now
    pairs: int = 0
    new_pairs: int = 0  # since the dataset of the last round that trains or has trained
    rounds: int = 0  # that have succeeded
    last_round: Round | None = None
    last_sampling: SamplingJob | None = None
    policy: Policy | None = None  # in use: what the last good round made, or else the base sampled last
    policy_round: Round | None = None  # that made it
    jobs: list[PromptImport | SamplingJob | Round] = field(default_factory=list)  # queued or running
    left_out: LeftOut = LeftOut(0, 0)

    @property
    def importing(self) -> PromptImport | None:
        return next((job for job in self.jobs if isinstance(job, PromptImport)), None)

    @property
    def sampling(self) -> SamplingJob | None:
        """The job that answers prompts for people to judge."""
        judging = SamplingJob.Purpose.JUDGING
        return next((job for job in self.jobs if isinstance(job, SamplingJob) and job.purpose == judging), None)

    @property
    def training(self) -> Round | None:
        return next((job for job in self.jobs if isinstance(job, Round)), None)

    @property
    def sampled(self) -> int:
        return self.prompts - self.unsampled

    @property
    def next_number(self) -> int:
        return self.last_round.number + 1 if self.last_round else 1

    @property
    def policy_name(self) -> str:
        """What the page calls the policy in use."""
        return f"Round {self.policy_round.number}" if self.policy_round else str(self.policy or "None yet")


def loop_of(project: Project, person: User) -> Loop:
    last_round = project.rounds.order_by("-number").first()
    last_sampling = project.sampling_jobs.filter(purpose=SamplingJob.Purpose.JUDGING).order_by("-pk").first()
    good = project.rounds.filter(status=Job.Status.SUCCEEDED, policy__isnull=False)
    policy_round = good.select_related("policy").order_by("-number").first()
    if policy_round:
        policy = policy_round.policy
    else:
        policy = Policy.objects.filter(pk__in=last_sampling.items.values("policy")).first() if last_sampling else None
    return Loop(
        project=project,
        **_prompts_and_answers(project),
        **_judgements(project),
        **_pairs(project),
        open_comparisons=project.comparisons.filter(judged__lt=F("wanted")).count(),
        to_judge=left_for(person, project),
        last_round=last_round,
        last_sampling=last_sampling,
        policy=policy,
        policy_round=policy_round,
        jobs=active_jobs(project),
        left_out=left_out(project),
    )


def _prompts_and_answers(project: Project) -> dict[str, int]:
    prompts = (
        Prompt.objects.imported()
        .filter(project=project)
        .aggregate(prompts=Count("pk"), held_out=Count("pk", filter=Q(side=Prompt.Side.HELD_OUT)))
    )
    asked = asked_for(project).aggregate(
        prompts=Count("prompt", distinct=True), answers=Sum("job__n", filter=Q(status=SamplingItem.Status.DONE))
    )
    return {**prompts, "unsampled": prompts["prompts"] - asked["prompts"], "answers": asked["answers"] or 0}


def _judgements(project: Project) -> dict[str, int]:
    real = Judgement.objects.votes().filter(comparison__project=project, comparison__purpose__in=REAL)
    counted = real.filter(current__kind__in=COUNTED)
    lately = Q(current__submitted_at__gt=Now() - LATELY)
    return counted.aggregate(
        judgements=Count("pk"),
        judged_lately=Count("pk", filter=lately),
        people_lately=Count("person", distinct=True, filter=lately),
        all_bad=Count("pk", filter=Q(current__kind=Revision.Kind.BOTH_BAD)),
    )


def _pairs(project: Project) -> dict[str, int]:
    """Count the pairs that a round can train on. Those of a round that failed or was cancelled are still new."""
    kept = project.rounds.exclude(status__in=[Job.Status.FAILED, Job.Status.CANCELLED])
    rounds = kept.aggregate(since=Max("dataset__as_of"), succeeded=Count("pk", filter=Q(status=Job.Status.SUCCEEDED)))
    trainable = PreferencePair.objects.current().of_project(project).train()
    pairs = trainable.filter(revision__judgement__comparison__purpose=Comparison.Purpose.TRAIN)
    counts = pairs.aggregate(pairs=Count("pk"), new_pairs=Count("pk", filter=Q(revision__gt=rounds["since"] or 0)))
    return {**counts, "rounds": rounds["succeeded"]}


def active_jobs(project: Project) -> list[PromptImport | SamplingJob | Round]:
    """Return what is queued or running for this project, oldest first, each as its own kind. One query."""
    of_project = Q(promptimport__project=project) | Q(samplingjob__project=project) | Q(round__project=project)
    found = []
    for job in Job.objects.active().filter(of_project).select_related(*KINDS).order_by("pk"):
        child = next(child for kind in KINDS if (child := getattr(job, kind, None)))
        child.project = project
        found.append(child)
    return found


@dataclass(frozen=True)
class Step:
    """The next sensible step: one sentence on why, and one link."""

    station: str  # of the loop: prompts, completions, judgements, pairs, rounds
    title: str
    text: str
    label: str
    href: str


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def next_step(loop: Loop) -> Step:
    """Choose the next sensible step.

    What runs is watched and what stopped is looked into; a round comes as soon as it is worth its time, so a queue
    that never empties does not put it off for ever; then people judge; then there is more to be sampled.
    """
    if not loop.prompts:
        return _first_prompts(loop)
    if loop.training:
        return _watch_round(loop, loop.training)
    if loop.last_round and loop.last_round.status == Job.Status.FAILED:
        return _look_into_round(loop.last_round, loop.project)
    if loop.new_pairs >= ENOUGH_PAIRS:
        return _train(loop)
    if loop.to_judge:
        return _judge(loop)
    if loop.sampling:
        return _watch_sampling(loop, loop.sampling)
    if loop.last_sampling and loop.last_sampling.status == Job.Status.FAILED:
        return _look_into_sampling(loop, loop.last_sampling)
    if loop.new_pairs and not loop.rounds and not loop.open_comparisons:
        return _train(loop)
    if loop.unsampled:
        return _sample(loop)
    return _wait_for_others(loop) if loop.open_comparisons else _sample_again(loop)


def _address(loop: Loop, name: str, *args: object) -> str:
    return reverse(name, args=[loop.project.slug, *args])


def _first_prompts(loop: Loop) -> Step:
    if loop.importing:
        text = "They count as soon as the last of them is in, and can then be sampled."
        return Step("prompts", "Prompts are on their way in", text, "See the import", _address(loop, "prompts"))
    kept = f"; {loop.project.held_out_percent}% of them are kept out of training, to measure with"
    text = f"A project begins with what people will ask. Type a few lines or bring a JSONL file{kept}."
    return Step("prompts", "Start with prompts", text, "Import prompts", _address(loop, "prompts"))


def _watch_round(loop: Loop, round: Round) -> Step:
    title = (
        f"Round {round.number} is being trained"
        if round.status == Job.Status.RUNNING
        else f"Round {round.number} waits"
    )
    also = f" {counted(loop.to_judge, 'comparison')} can be judged meanwhile." if loop.to_judge else ""
    text = f"{round.message or 'It makes a new policy of what people said.'}{also}"
    return Step("rounds", title, text, f"Watch round {round.number}", _address(loop, "round", round.number))


def _look_into_round(round: Round, project: Project) -> Step:
    text = "Nothing that was judged is lost. The round’s page says what went wrong and what to do."
    href = reverse("round", args=[project.slug, round.number])
    return Step("rounds", f"Round {round.number} has stopped", text, "See why", href)


def _train(loop: Loop) -> Step:
    new = "new pair" if loop.rounds else "pair"
    title = f"{counted(loop.new_pairs, new)}: train round {loop.next_number}"
    if loop.open_comparisons:
        text = (
            f"{counted(loop.open_comparisons, 'comparison')} can still be judged; "
            "what is judged once the round is launched counts for the next one."
        )
    elif loop.new_pairs < ENOUGH_PAIRS:
        text = f"All is judged. {ENOUGH_PAIRS} pairs or more would teach it better, but it works with fewer."
    else:
        text = "All is judged. The round makes a new policy, which then answers the next prompts."
    return Step("rounds", title, text, f"Train round {loop.next_number}", _address(loop, "launch_round"))


def _judge(loop: Loop) -> Step:
    missing = counted(ENOUGH_PAIRS - loop.new_pairs, "more pair")
    text = f"Say which answers are better. After {missing} round {loop.next_number} is worth its time."
    if loop.sampling:
        text += " More answers are on their way."
    title = f"{counted(loop.to_judge, 'comparison')} to judge"
    return Step("judgements", title, text, "Judge answers", _address(loop, "judge"))


def _watch_sampling(loop: Loop, job: SamplingJob) -> Step:
    text = f"{job.progress:,} of {counted(job.total, 'prompt')} answered. Judging begins with the first answers."
    if job.status == Job.Status.QUEUED or not job.progress:
        text = f"{job.message or 'The job waits for a worker.'} Judging begins with the first answers."
    label = "Watch the sampling"
    return Step("completions", "Answers are being sampled", text, label, _address(loop, "sampling_job", job.pk))


def _look_into_sampling(loop: Loop, job: SamplingJob) -> Step:
    text = f"{job.progress:,} of {counted(job.total, 'prompt')} were answered, and those answers stay."
    return Step("completions", "Sampling has stopped", text, "See why", _address(loop, "sampling_job", job.pk))


def _sample(loop: Loop) -> Step:
    number = counted(loop.unsampled, "prompt")
    name = loop.policy_name if loop.policy else "A model"
    text = f"{name} answers each of them several times; people then say which answers are better."
    return Step("completions", f"{number} to sample", text, f"Sample {number}", _address(loop, "sampling"))


def _wait_for_others(loop: Loop) -> Step:
    title = f"{counted(loop.open_comparisons, 'comparison')} left for other people"
    people = loop.project.overlap
    text = "You have judged all that you can. " + (
        f"Each comparison is judged by {people} people." if people > 1 else "Somebody has them open now."
    )
    return Step("judgements", title, text, "See the people", _address(loop, "people"))


def _sample_again(loop: Loop) -> Step:
    text = f"New answers of {loop.policy_name}, or more prompts, give people more to compare."
    return Step("completions", "All answers are judged", text, "Sample again", _address(loop, "sampling"))


@dataclass(frozen=True)
class Alert:
    """Something that stops the loop, and the command that mends it."""

    title: str
    text: str
    command: str


def alerts(jobs: list[PromptImport | SamplingJob | Round]) -> list[Alert]:
    """Say which processes are missing, as far as the database can tell."""
    found = [] if online_devices() else [_no_device()]
    return found + [_no_worker(job) for job in _unheard(jobs)]


def _no_device() -> Alert:
    text = "Sampling and training wait until one runs; judging goes on."
    known = Device.objects.exists()
    title = "The device process has stopped answering." if known else "No device process is running."
    return Alert(title, text, "manage.py run_device")


def _no_worker(job: Job) -> Alert:
    title = f"Nobody picks up {job.title}."
    text = f"It has waited for over a minute: no worker takes jobs from the {job.queue} queue."
    return Alert(
        title, text, f"celery -A config worker -Q {job.queue} -P threads -c 1 --without-gossip --without-mingle"
    )


def _unheard(jobs: list[PromptImport | SamplingJob | Round]) -> list[Job]:
    """Return a queued job of each queue on which nothing runs and nobody has reacted for too long."""
    queued = [job.pk for job in jobs if job.status == Job.Status.QUEUED]
    if not queued:
        return []
    busy = Job.objects.running().values("queue")
    old = Job.objects.queued().filter(pk__in=queued, created_at__lt=Now() - WORKER_PATIENCE).exclude(queue__in=busy)
    silent = old.filter(Q(heartbeat=None) | Q(heartbeat__lt=Now() - WORKER_PATIENCE))
    unheard = silent.filter(Q(announced_at=None) | Q(announced_at__lt=Now() - MESSAGE_PATIENCE))
    first: dict[str, Job] = {}
    for job in unheard.order_by("pk"):
        first.setdefault(job.queue, job)
    return list(first.values())
