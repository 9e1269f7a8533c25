"""Queries that are built once."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection, connections, models, transaction
from django.db.models import CharField, DateTimeField
from django.db.models.functions import Now
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from jobs.prepared import Given, Prepared, PreparedChange, PreparedInsert, deleting, updating
from projects.models import Guidelines, Membership, Project
from tests.threads import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return [User.objects.create(username=name) for name in ("ada", "bob", "cy")]


def test_gaps_are_filled_anew_at_each_call(people):
    named = Prepared(lambda: User.objects.filter(username=Given("name", CharField())))
    assert named(name="ada") == [people[0]]
    assert named(name="bob") == [people[1]]
    assert named(name="nobody") == []
    assert (named.first(name="cy"), named.first(name="nobody")) == (people[2], None)


def test_a_query_is_built_once(people):
    built = []

    def build():
        built.append(1)
        return User.objects.filter(pk=Given("person"))

    found = Prepared(build)
    assert [found.first(person=person.pk) for person in people] == people
    assert built == [1]


def test_it_asks_what_the_queryset_asks(people):
    with CaptureQueriesContext(connection) as queries:
        Prepared(lambda: User.objects.filter(pk=Given("person")).order_by("username"))(person=people[0].pk)
        list(User.objects.filter(pk=people[0].pk).order_by("username"))
    prepared, usual = (query["sql"].replace("(", "").replace(")", "") for query in queries.captured_queries)
    assert prepared == usual


def test_rows_are_what_the_queryset_gives(people):
    project = Project.objects.create(name="One", slug="one", flag_reasons=["It is broken"])
    Membership.objects.create(project=project, user=people[1])
    of_person = Membership.objects.filter(user=Given("person"))
    with_project = Prepared(lambda: of_person.select_related("project").annotate(twice=models.F("project") * 2))
    (membership,) = with_project(person=people[1].pk)
    with CaptureQueriesContext(connection) as queries:
        assert (membership.project, membership.project.flag_reasons) == (project, ["It is broken"])
    assert not queries.captured_queries
    assert membership.twice == 2 * project.pk
    pairs = Prepared(lambda: of_person.values_list("project__slug", "project__flag_reasons"))
    assert pairs(person=people[1].pk) == [("one", ["It is broken"])]
    assert Prepared(lambda: of_person.values_list("project__slug", flat=True)).first(person=people[1].pk) == "one"


def test_moments_are_given_as_the_database_keeps_them(people):
    now = datetime.now(UTC)
    User.objects.update(date_joined=now)
    since = Prepared(lambda: User.objects.filter(date_joined__gte=Given("moment", DateTimeField())))
    assert len(since(moment=now)) == 3
    assert since(moment=now + timedelta(microseconds=1)) == []


def test_each_thread_has_its_own(transactional_db):
    people = [User.objects.create(username=f"person {number}") for number in range(4)]
    found = Prepared(lambda: User.objects.filter(pk=Given("person")))

    def look(person: User) -> None:
        assert all(found.first(person=person.pk) == person for _ in range(50))

    together(*(lambda person=person: look(person) for person in people))


def test_it_asks_by_the_connection_of_now(people):
    found = Prepared(lambda: User.objects.filter(pk=Given("person")))
    assert found(person=people[0].pk) == [people[0]]
    before, other = connections["default"], connections.create_connection("default")
    connections["default"] = other  # as it is below an event loop
    try:
        with CaptureQueriesContext(other) as queries:
            found(person=people[0].pk)
    finally:
        other.close()
        connections["default"] = before
    assert len(queries) == 1


def test_changes_say_how_many_rows_they_reached(people):
    named = User.objects.filter(username=Given("name", CharField()))
    rename = PreparedChange(lambda: updating(named, first_name=Given("first", CharField()), is_staff=True))
    assert rename(name="ada", first="Ada") == 1
    assert rename(name="nobody", first="No") == 0
    assert set(User.objects.values_list("username", "first_name", "is_staff")) == {
        ("ada", "Ada", True),
        ("bob", "", False),
        ("cy", "", False),
    }


def test_a_deletion_reaches_the_rows_it_names():
    for number in range(3):
        Session.objects.create(session_key=str(number), session_data="", expire_date=datetime.now(UTC))
    end = PreparedChange(lambda: deleting(Session.objects.filter(session_key=Given("key", CharField()))))
    assert [end(key="1"), end(key="1"), end(key="2")] == [1, 0, 1]
    assert list(Session.objects.values_list("session_key", flat=True)) == ["0"]


def test_gaps_and_what_is_given_must_fit(people):
    found = Prepared(lambda: User.objects.filter(pk=Given("person")))
    with pytest.raises(KeyError, match="person"):
        found()
    with pytest.raises(TypeError, match="no gap for name"):
        found(person=people[0].pk, name="ada")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows.")
def test_rows_are_locked_in_a_transaction_only(transactional_db):
    found = Prepared(lambda: User.objects.select_for_update().filter(pk=Given("person")))
    with transaction.atomic():
        assert found(person=0) == []
    with pytest.raises(TransactionManagementError):
        found(person=0)


# ---- inserts


@pytest.fixture
def stored_guidelines():
    return PreparedInsert(Guidelines)


def test_an_insert_stores_what_create_does(people, stored_guidelines, django_assert_num_queries):
    project = Project.objects.create(name="One", slug="one")
    with django_assert_num_queries(1):
        stored = stored_guidelines(Guidelines(project=project, version=3, text="50 % of “these” 🐑"))
    usual = Guidelines.objects.create(project=project, version=4, text="50 % of “these” 🐑")
    found = Guidelines.objects.get(version=3)
    assert (found, found.text, found.project) == (stored, usual.text, project)
    assert stored.created_at == found.created_at
    assert not stored._state.adding
    stored.text = "Saved again."
    stored.save()
    assert Guidelines.objects.count() == 2


def test_an_insert_takes_lists_and_nothing(people):
    project = Project(name="One", slug="one", flag_reasons=["a", ["b"]])
    assert Project.objects.get(pk=PreparedInsert(Project)(project).pk).flag_reasons == ["a", ["b"]]
    membership = PreparedInsert(Membership)(Membership(project=project, user=people[0], left_at=None))
    assert Membership.objects.get(pk=membership.pk).left_at is None


def test_an_insert_gives_each_row_the_pattern_s_expressions(people):
    long_ago = timedelta(days=400)
    joined = PreparedInsert(lambda: User(date_joined=Now() - long_ago, password="!"))
    one, two = joined(User(username="one")), joined(User(username="two", password="?"))
    assert one.date_joined == User.objects.get(username="one").date_joined
    assert abs(datetime.now(UTC) - long_ago - one.date_joined) < timedelta(minutes=1)
    assert (User.objects.get(username="one").password, User.objects.get(username="two").password) == ("", "?")
    assert two.pk > one.pk


def test_an_insert_is_built_once(people):
    built = []

    def build():
        built.append(1)
        return User()

    store = PreparedInsert(build)
    assert [store(User(username=name)).username for name in ("one", "two")] == ["one", "two"]
    assert built == [1]


def test_an_insert_refuses_what_the_table_does(people):
    with pytest.raises(IntegrityError), transaction.atomic():
        PreparedInsert(User)(User(username="ada"))
    assert User.objects.count() == 3


def test_each_thread_has_an_insert_of_its_own(transactional_db):
    store = PreparedInsert(User)

    def join(name: str) -> None:
        store(User(username=name))

    together(*(lambda name=name: join(name) for name in ("one", "two", "three", "four")))
    assert sorted(User.objects.values_list("username", flat=True)) == ["four", "one", "three", "two"]
