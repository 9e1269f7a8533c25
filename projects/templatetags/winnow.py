"""Filters that every app's templates use."""

from django import template
from django.utils.safestring import SafeString

from projects import markdown as markdown_module

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    return markdown_module.render(text)
