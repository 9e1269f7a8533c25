"""Winnow's addresses and one more, which does as little as a view of its kind can do. See benchmarks.floor."""

from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.http import require_POST

from annotate import views

TABLE = "CREATE TABLE IF NOT EXISTS floor (person bigint NOT NULL, said varchar(20) NOT NULL, client_key varchar(64))"
REPLY = "#reply"

replied: tuple[str, dict[str, Any]] | None = None  # template and context of the last real reply


def remembering(request: HttpRequest, template: str, context: dict[str, Any], **options: Any) -> HttpResponse:
    global replied
    if template.endswith(REPLY) and context.get("comparison"):
        replied = (template, context)
    return render(request, template, context, **options)


views.render = remembering  # type: ignore[attr-defined]


@require_POST
def floor(request: HttpRequest) -> HttpResponse:
    """One insert, committed to the disk before the answer; the person is known by their session, CSRF is checked."""
    if replied is None:
        return HttpResponse("Submit one real judgement first: its reply is what is rendered here.", status=409)
    with connection.cursor() as cursor:
        values = [request.user.pk, request.POST["choice"][:20], request.POST["client_key"][:64]]
        cursor.execute("INSERT INTO floor (person, said, client_key) VALUES (%s, %s, %s)", values)
    return render(request, *replied)


def make_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TABLE)


urlpatterns = [path("floor/", floor), path("", include("config.urls"))]
