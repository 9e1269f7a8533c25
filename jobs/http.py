"""The request as views see it, and which part of a page it asks for."""

from collections.abc import Collection
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request of somebody who is signed in: the middleware lets nobody else through to a view."""

    htmx: HtmxDetails
    user: User


def fragment(request: HtmxRequest, template: str, names: Collection[str]) -> str:
    """Return the template, or the fragment of it that htmx is to put in place: elements are named like fragments."""
    target = request.htmx.target if request.htmx else None
    return f"{template}#{target}" if target and target in names else template


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the time zone that the reader's browser names (static/winnow.js), or UTC."""
    try:
        return ZoneInfo(request.COOKIES.get("timezone", "UTC"))
    except (KeyError, ValueError, OSError):  # no such zone, or no name of one
        return UTC
