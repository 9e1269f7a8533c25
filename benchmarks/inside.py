"""What benchmarks do with Winnow's own settings, in a process of its own: fill a database, and look into it.

`python -m benchmarks.inside NAME` reads its arguments as JSON from standard input and prints what it found as JSON.
Rows are made here, past the product's own entrances, because a million of them must take minutes: INSERT … SELECT.
What is measured goes through HTTP.
"""

import json
import os
import random
import sys
from datetime import timedelta
from typing import Any

from benchmarks.servers import Place, run
from tests.stack import ROOT

ANSWERS = ROOT.parent / "shared" / "data" / "alpaca_eval_rankings.jsonl"
NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)"
SHUFFLER = 7046029254387  # odd: its multiples run through all numbers below 2**48 in no order to be seen
MADE_UP = 800  # texts, where there are no real ones


def call(place: Place, name: str, **arguments: Any) -> Any:
    """Call a function of this module with the settings and the database of a place; arguments and result are JSON."""
    environment = {**place.environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    given = json.dumps(arguments)
    return json.loads(run([sys.executable, "-m", "benchmarks.inside", name], environment, given=given).splitlines()[-1])


def main() -> None:
    import django

    django.setup()
    functions = {
        function.__name__: function
        for function in (fill, judge_past, check_soak, count_open, count_late, durability, floor_table)
    }
    print(json.dumps(functions[sys.argv[1]](**json.load(sys.stdin))))


# ---- texts


def texts() -> tuple[list[tuple[str, str, str]], str]:
    """Return prompts with two answers each, and in words where they come from."""
    if ANSWERS.exists():
        rows = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
        found = [(row["prompt"], *(answer["text"] for answer in row["completions"][:2])) for row in rows]
        return found, f"{len(found)} prompts of AlpacaEval with the answers of two models"
    return made_up_texts(), f"{MADE_UP} made-up prompts and answers, as long as AlpacaEval's"


def made_up_texts() -> list[tuple[str, str, str]]:
    """Return texts whose lengths have the same deciles as AlpacaEval's."""
    draw = random.Random(4)
    prompts, answers = (38, 53, 66, 81, 100, 122, 157, 222, 327), (168, 355, 580, 826, 1047, 1228, 1407, 1638, 1985)
    words = ("the", "of", "answer", "a", "model", "that", "people", "which", "better", "in", "question", "for", "one")

    def text(lengths: tuple[int, ...]) -> str:
        length, parts = draw.choice(lengths), []
        while sum(map(len, parts)) + len(parts) < length:
            parts.append(draw.choice(words) + ("\n\n" if draw.random() < 0.02 else ""))
        return " ".join(parts)

    return [(text(prompts) + "?", text(answers), text(answers)) for _ in range(MADE_UP)]


# ---- filling


def fill(
    people: int, comparisons: int, overlap: int = 1, slug: str = "bench", bare: bool = False, judged: int = 0
) -> dict[str, Any]:
    """Make a project in an empty database, its people signed in, and comparisons of two answers each.

    So many of them were `judged` by somebody before: a database plans by how large its tables were. With `bare` all
    texts are one letter, so that the size of a page is the size of what surrounds them.
    """
    from django.core.management.color import no_style
    from django.db import connection, transaction

    from annotate.models import Comparison, Slot
    from generation.models import Completion
    from projects.models import Project, Prompt

    found, source = ([("p", "a", "b")], "letters") if bare else texts()
    with transaction.atomic():
        project = Project.objects.create(name=slug, slug=slug, overlap=overlap)
        project.guideline_versions.create(version=1, text="Choose the answer you would **rather** have been given.")
        sessions = make_people(project, people)
        make_comparisons(project, comparisons, overlap, found)
        if judged:
            (earlier,) = make_people(project, 1, called="earlier")
            judge_past(earlier["name"], judged)
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), [Prompt, Completion, Comparison, Slot]):
                cursor.execute(statement)
    if connection.vendor == "postgresql":
        # What autovacuum does by itself some minutes after such a change.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return {"people": sessions, "slug": slug, "source": source}


def make_people(project: Any, how_many: int, called: str = "") -> list[dict[str, str]]:
    """Make members of the project who are signed in; return their names and the keys of their sessions."""
    from django.contrib.auth.models import User

    from projects.models import Membership

    names = [f"{called or project.slug}-{number:03}" for number in range(1, how_many + 1)]
    User.objects.bulk_create(User(username=name, password="!") for name in names)
    users = User.objects.filter(username__in=names).order_by("username")
    Membership.objects.bulk_create(Membership(project=project, user=user) for user in users)
    return [{"name": user.username, "session": sign_in(user)} for user in users]


def sign_in(user: Any) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key


def make_comparisons(project: Any, how_many: int, overlap: int, found: list[tuple[str, str, str]]) -> None:
    """Make prompts, their two completions, and a comparison of each, by four statements."""
    from django.db.models import Max

    from annotate.models import SHUFFLED, Comparison, Slot
    from generation.models import Completion
    from jobs.models import Job
    from projects.models import Prompt, PromptImport

    source = PromptImport.objects.create(project=project, source="benchmark", path="", status=Job.Status.SUCCEEDED)
    keep_texts(found)
    first = {model: model.objects.aggregate(last=Max("pk"))["last"] or 0 for model in (Prompt, Completion, Comparison)}
    prompt, comparison = f"{first[Prompt]} + n", f"{first[Comparison]} + n"
    text = f"JOIN bench_texts ON bench_texts.number = n %% {len(found)}"
    both = f"{text} CROSS JOIN (SELECT 0 AS slot UNION ALL SELECT 1) AS slots"
    completion = f"{first[Completion]} + 2 * n + slot"
    digest = f"'{project.pk:010}' || substr('{'0' * 54}' || n, length('' || n) + 1)"
    insert(
        Prompt,
        how_many,
        text,
        id=prompt,
        project=str(project.pk),
        source=str(source.pk),
        digest=digest,
        messages="messages",
        side="'train'",
    )
    answer = "CASE slot WHEN 0 THEN first ELSE second END"
    insert(Completion, how_many, both, id=completion, prompt=prompt, index="slot", text=answer, finish_reason="'stop'")
    insert(
        Comparison,
        how_many,
        "",
        id=comparison,
        project=str(project.pk),
        prompt=prompt,
        slots="2",
        shuffle=f"(n * {SHUFFLER}) %% {SHUFFLED}",
        wanted=str(overlap),
    )
    insert(Slot, how_many, both, comparison=comparison, number="slot", completion=completion)


def keep_texts(found: list[tuple[str, str, str]]) -> None:
    from django.db import connection

    json_type = "jsonb" if connection.vendor == "postgresql" else "text"
    rows = [
        (number, json.dumps([{"role": "user", "content": prompt}]), first, second)
        for number, (prompt, first, second) in enumerate(found)
    ]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_texts")
        cursor.execute(
            f"CREATE TEMPORARY TABLE bench_texts "
            f"(number integer PRIMARY KEY, messages {json_type}, first text, second text)"
        )
        cursor.executemany("INSERT INTO bench_texts VALUES (%s, %s, %s, %s)", rows)


def insert(model: Any, how_many: int, joined: str, **given: str) -> None:
    """Insert rows made by the database itself: `given` are SQL expressions in `n`, from 1 to `how_many`.

    Raises:
        ValueError: a field is neither given nor has a default.
    """
    from django.db import connection

    columns, expressions, values = [], [], []
    for field in model._meta.concrete_fields:
        if field.name in given:
            columns.append(field.column)
            expressions.append(given[field.name])
        elif not (field.primary_key or field.generated or field.has_db_default() or field.null):
            if (default := field.get_default()) is None:
                raise ValueError(f"{model.__name__}.{field.name} has no default: give benchmarks.inside.insert one.")
            columns.append(field.column)
            expressions.append("%s")
            values.append(field.get_db_prep_save(default, connection))
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    table = connection.ops.quote_name(model._meta.db_table)
    select = f"{NUMBERS} SELECT {', '.join(expressions)} FROM numbers {joined}"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {select}", [how_many, *values])


def judge_past(person: str, how_many: int, days: int = 20) -> int:
    """Let a person have judged the first comparisons of the queue on past days, and be called back to its start."""
    from django.contrib.auth.models import User
    from django.db import transaction
    from django.utils import timezone

    from annotate.models import Comparison, Judgement, PreferencePair, Revision, Seat

    user = User.objects.get(username=person)
    first = list(Comparison.objects.order_by("place", "pk").select_related("project")[:how_many])
    completions = {}
    for comparison, completion, number in (
        first[0]
        .project.comparisons.filter(pk__in=[comparison.pk for comparison in first])
        .values_list("pk", "answers__completion", "answers__number")
    ):
        completions.setdefault(comparison, {})[number] = completion
    now = timezone.now()
    with transaction.atomic():
        judgements = Judgement.objects.bulk_create(Judgement(comparison=each, person=user) for each in first)
        revisions = Revision.objects.bulk_create(
            Revision(
                project=judgement.comparison.project,
                judgement=judgement,
                person=user,
                number=1,
                kind=Revision.Kind.RANKED,
                tiers=[[0], [1]],
                shown=[0, 1],
                submitted_at=now - timedelta(days=days - number * (days - 1) / how_many),
                client_key=f"past {number}",
            )
            for number, judgement in enumerate(judgements)
        )
        for judgement, revision in zip(judgements, revisions, strict=True):
            judgement.current = revision
        Judgement.objects.bulk_update(judgements, ["current"], batch_size=500)
        PreferencePair.objects.bulk_create(
            PreferencePair(
                revision=revision,
                prompt_id=judgement.comparison.prompt_id,
                chosen_id=completions[judgement.comparison_id][0],
                rejected_id=completions[judgement.comparison_id][1],
            )
            for judgement, revision in zip(judgements, revisions, strict=True)
        )
        for start in range(0, how_many, 500):
            Comparison.objects.filter(pk__in=[each.pk for each in first[start : start + 500]]).update(judged=1)
        Seat.objects.update_or_create(person=user, project=first[0].project, defaults={"place": first[0].place})
    return len(judgements)


def floor_table() -> None:
    from benchmarks.floor_urls import make_table

    make_table()


# ---- looking


def durability() -> str:
    """Return in words what the database says of how it keeps a commit."""
    from django.db import connection

    show, names = ("SHOW", ("server_version", "fsync", "synchronous_commit", "full_page_writes", "autovacuum"))
    if connection.vendor == "sqlite":
        show, names = ("PRAGMA", ("journal_mode", "synchronous"))
    said = []
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"{show} {name}")
            said.append(f"{name} {cursor.fetchone()[0]}")
    return ", ".join(said).replace("synchronous 2", "synchronous full")


def count_open() -> int:
    """Return how many comparisons are not yet judged as often as they are to be."""
    from django.db.models import F

    from annotate.models import Comparison

    return Comparison.objects.filter(judged__lt=F("wanted")).count()


def count_late() -> int:
    from annotate.models import Revision

    return Revision.objects.filter(late=True).count()


def check_soak(receipts: list[dict[str, Any]]) -> list[str]:
    """Return what does not hold after a soak, in sentences; `receipts` are all that any client got."""
    from annotate.models import Comparison, Lease

    wrong = [*missing_receipts(receipts), *wrong_pairs(), *beyond_overlap()]
    if stuck := count_open():
        wrong.append(f"{stuck} comparisons are stuck: nobody is given them, and they are not judged as often as asked.")
    if left := Lease.objects.count():
        wrong.append(f"{left} leases are left though everybody has judged all there was.")
    if not Comparison.objects.exists():
        wrong.append("There are no comparisons: nothing was checked.")
    return wrong[:20]


def missing_receipts(receipts: list[dict[str, Any]]) -> list[str]:
    """Compare what clients were told with what is stored: once, on that comparison, with that choice."""
    from annotate.masks import unmask
    from annotate.models import Revision

    stored: dict[tuple[str, str], list[Any]] = {}
    for revision in Revision.objects.select_related("person", "judgement"):
        stored.setdefault((revision.person.username, revision.client_key), []).append(revision)
    wrong = []
    for receipt in receipts:
        found = stored.get((receipt["person"], receipt["client_key"]), [])
        comparison = unmask(receipt["comparison"])
        about = f"{receipt['person']}'s receipt for comparison {comparison}"
        if len(found) != 1:
            wrong.append(f"{about} is stored {len(found)} times.")
        elif found[0].judgement.comparison_id != comparison:
            wrong.append(f"{about} is stored on comparison {found[0].judgement.comparison_id}.")
        elif not says(found[0], receipt["choice"]):
            wrong.append(f"{about} said {receipt['choice']}; stored is {found[0].kind} {found[0].tiers}.")
    return wrong


def says(revision: Any, choice: str) -> bool:
    """Whether a stored revision of a comparison of two is what the person pressed."""
    if choice == "bad":
        return revision.kind == "both_bad"
    if choice == "tie":
        return revision.kind == "ranked" and len(revision.tiers) == 1
    return revision.kind == "ranked" and revision.tiers[0] == [revision.shown[int(choice) - 1]]


def wrong_pairs() -> list[str]:
    """A ranking of two that is no tie has one pair, everything else has none."""
    from django.db.models import Count

    from annotate.models import Revision

    wrong = []
    for revision in Revision.objects.annotate(how_many=Count("pairs")):
        wanted = int(revision.kind == "ranked" and len(revision.tiers) == 2)
        if revision.how_many != wanted:
            wrong.append(f"Revision {revision.pk} ({revision.kind}) has {revision.how_many} pairs instead of {wanted}.")
    return wrong


def beyond_overlap() -> list[str]:
    """Count each comparison's judgements: as many as it says, and none beyond its overlap but late ones."""
    from django.db.models import Count, Q

    from annotate.models import COUNTED, Comparison

    counted = Q(judgements__settles=False, judgements__current__kind__in=COUNTED)
    in_time = counted & Q(judgements__current__late=False)
    rows = Comparison.objects.annotate(votes=Count("judgements", counted), timely=Count("judgements", in_time))
    wrong = []
    for row in rows:
        if row.timely > row.wanted:
            wrong.append(f"Comparison {row.pk} was judged by {row.timely} in time; {row.wanted} were asked.")
        if row.votes != row.judged:
            wrong.append(f"Comparison {row.pk} says that {row.judged} judged it; {row.votes} did.")
    return wrong


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
