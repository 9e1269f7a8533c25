"""Filters that every app's templates use."""

from django import template
from django.utils.safestring import SafeString

from projects import controls
from projects import markdown as markdown_module

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    return markdown_module.render(text)


@register.filter
def written(text: str) -> SafeString:
    """A text as it was written, with the characters in sight that turn the direction of others."""
    return controls.written(text)
