"""Searching prompts by what their list shows."""

from typing import Any

from django.db.models import Func, TextField


class LastTurn(Func):
    """The text of the last message, as `Prompt.text` gives it."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(
            compiler, connection, template="JSON_EXTRACT(%(expressions)s, '$[#-1].content')", **context
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="(%(expressions)s -> -1 ->> 'content')", **context)
