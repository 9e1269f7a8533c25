"""The filter by which annotators' pages name a comparison."""

from django import template

from annotate.masks import mask

register = template.Library()


@register.filter
def masked(pk: int) -> str:
    return mask(pk)
