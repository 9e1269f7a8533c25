"""Statements that Django builds once and that run many times.

Django takes longer to build SQL out of Python objects than a database takes to answer it by an index. What each
judgement asks is therefore built at its first use, with gaps for what changes, and only filled in after that.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import BigIntegerField, Expression, Field, Model, QuerySet
from django.db.models.sql import DeleteQuery, InsertQuery, Query, UpdateQuery
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row")
Stored = TypeVar("Stored", bound=Model)


class Given(Expression):
    """A gap in a prepared query: `Given("person")` is filled by the argument `person`, a value of `field`.

    None is no error, but as always in SQL it equals nothing.
    """

    def __init__(self, name: str, field: "Field[Any, Any] | None" = None) -> None:
        super().__init__(output_field=field or BigIntegerField())
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class Prepared(Generic[Row]):
    """A SELECT: `build` returns its queryset with gaps in it; a call fills them in and returns the rows."""

    def __init__(self, build: "Callable[[], QuerySet[Any, Row]]") -> None:
        self._build = build
        self._here = threading.local()  # as a connection is one thread's, so is the compiler that uses it

    def __call__(self, **given: object) -> list[Row]:
        if getattr(self._here, "connection", None) is not connections[DEFAULT_DB_ALIAS]:
            self._prepare()
        if self._here.locks and not connection.in_atomic_block:  # Django looks when it builds the query
            raise TransactionManagementError("A query that locks rows needs a transaction.")
        sql, filled = self._here.sql, _filled(self._here.values, given)
        self._here.compiler.as_sql = lambda: (sql, filled)
        queryset = self._here.queryset
        return list(queryset._iterable_class(queryset))

    def first(self, **given: object) -> Row | None:
        return next(iter(self(**given)), None)

    def _prepare(self) -> None:
        self._here.connection = connections[DEFAULT_DB_ALIAS]  # below an event loop a thread may have several
        queryset = self._build()
        compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        self._here.sql, self._here.values = compiler.as_sql()
        queryset.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
        self._here.compiler, self._here.queryset = compiler, queryset
        self._here.locks = queryset.query.select_for_update and connection.features.has_select_for_update


class PreparedChange:
    """An UPDATE or a DELETE with gaps in it; a call fills them in and returns how many rows it reached."""

    def __init__(self, build: Callable[[], Query]) -> None:
        self._build = build
        self._here = threading.local()

    def __call__(self, **given: object) -> int:
        if not hasattr(self._here, "sql"):
            self._here.sql, self._here.values = self._build().get_compiler(DEFAULT_DB_ALIAS).as_sql()
        with connection.cursor() as cursor:
            cursor.execute(self._here.sql, _filled(self._here.values, given))
            return cursor.rowcount


class PreparedInsert(Generic[Stored]):
    """An INSERT of one row. `build` returns an instance whose expressions, such as `Now()`, hold for each row.

    All else comes from the instance that is stored. No signals are sent.
    """

    def __init__(self, build: Callable[[], Stored]) -> None:
        self._build = build
        self._here = threading.local()

    def __call__(self, instance: Stored) -> Stored:
        """Store an instance, fill in what the database made of it (its id, its times), and return it."""
        if not hasattr(self._here, "sql"):
            self._prepare()
        values = {gap.name: getattr(instance, gap.name) for gap in self._here.values if isinstance(gap, Given)}
        with connection.cursor() as cursor:
            cursor.execute(self._here.sql, _filled(self._here.values, values))
            made = list(self._here.compiler.apply_converters([cursor.fetchone()], self._here.converters))[0]
        for field, value in zip(self._here.made, made, strict=True):
            setattr(instance, field.attname, value)
        instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS
        return instance

    def _prepare(self) -> None:
        pattern = self._build()
        fields = [field for field in pattern._meta.concrete_fields if not field.primary_key]
        of_database = [field for field in fields if hasattr(getattr(pattern, field.attname), "resolve_expression")]
        for field in set(fields) - set(of_database):
            setattr(pattern, field.attname, Given(field.attname, field))
        query = InsertQuery(type(pattern))
        query.insert_values(fields, [pattern], raw=True)
        compiler: Any = query.get_compiler(DEFAULT_DB_ALIAS)
        compiler.returning_fields = self._here.made = [pattern._meta.pk, *of_database]
        ((self._here.sql, self._here.values),) = compiler.as_sql()
        table = pattern._meta.db_table
        self._here.converters = compiler.get_converters([field.get_col(table) for field in self._here.made])
        self._here.compiler = compiler


def updating(rows: "QuerySet[Any]", **values: object) -> Query:
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    return query


def deleting(rows: "QuerySet[Any]") -> Query:
    """Delete rows that no other table points to: nothing is looked for there."""
    return rows.query.chain(DeleteQuery)


def _filled(values: Sequence[Any], given: dict[str, object]) -> list[Any]:
    """Put what is given into the gaps.

    Raises:
        KeyError: a gap is not filled.
        TypeError: something is given for which there is no gap.
    """
    if unknown := given.keys() - {value.name for value in values if isinstance(value, Given)}:
        raise TypeError(f"The statement has no gap for {', '.join(sorted(unknown))}.")
    return [
        value.output_field.get_db_prep_value(given[value.name], connection) if isinstance(value, Given) else value
        for value in values
    ]
