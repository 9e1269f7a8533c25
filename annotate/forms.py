"""What the judge page sends."""

import uuid
from contextlib import suppress
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict

from annotate.blind import BrokenSeal, unseal
from annotate.edits import UNREADABLE, EditError, read_edit
from annotate.judging import Choice, ChoiceError, Kind, best_of, read_ranking, tie
from annotate.masks import unmask
from annotate.models import Comparison, Revision
from projects.forms import LinesField
from projects.prompts import UNSTORABLE

OUT_OF_DATE = "That page was out of date, so nothing was saved from it. Please choose again here."
SWITCHED_OFF = (
    "Answers of one's own are switched off in this project by now, so nothing was saved. Choose one of these instead."
)
LONGEST_REASON = 5_000
MOST_FLAGS, LONGEST_FLAG = 8, 80
MOST_ON_HAND = 4  # comparisons that a page says it has
A_DAY = 24 * 60 * 60


class StartForm(forms.Form):
    """What the start page showed: the version of the guidelines, and the content warning."""

    guidelines = forms.IntegerField(required=False)
    warning = LinesField(required=False)


class SubmitForm(forms.Form):
    """A submit that may come twice. Without a key from the page it counts as a new one."""

    client_key = forms.UUIDField(required=False, error_messages={"invalid": OUT_OF_DATE})

    def clean_client_key(self) -> str:
        return str(self.cleaned_data["client_key"] or uuid.uuid4())


class OnHandForm(forms.Form):
    """What a page says of itself. `have`: what it has on hand, as masks with commas; `visit`: its name."""

    have = forms.CharField(required=False, max_length=200)
    visit = forms.CharField(required=False, max_length=32)

    def clean_have(self) -> list[int]:
        have = []
        for part in self.cleaned_data["have"].split(",")[:MOST_ON_HAND]:
            with suppress(ValueError):
                have.append(unmask(part))
        return have


class ChoiceForm(SubmitForm):
    """A choice, in the numbers that the page showed. `cleaned_data` holds `said`, a Choice of slots, and `seen`.

    `edit` is a text of the person's own, `edit_of` the number of the answer that it was edited from; 0 is none of them.
    """

    seen = forms.CharField(required=False)
    choice = forms.CharField(required=False)
    ranking = forms.CharField(required=False, max_length=100)
    strength = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        choices=Revision.Strength.choices,
        error_messages={"invalid_choice": OUT_OF_DATE},
    )
    quality = forms.ChoiceField(
        required=False, choices=Revision.Quality.choices, error_messages={"invalid_choice": OUT_OF_DATE}
    )
    reason = forms.CharField(
        required=False,
        max_length=LONGEST_REASON,
        error_messages={"max_length": "The reason has %(show_value)s characters; at most %(limit_value)s are kept."},
    )
    seconds = forms.FloatField(required=False, min_value=0, max_value=A_DAY)
    edit = forms.CharField(required=False, strip=False, error_messages={"null_characters_not_allowed": UNREADABLE})
    edit_of = forms.CharField(required=False, max_length=1, error_messages={"max_length": OUT_OF_DATE})

    data: QueryDict

    def __init__(self, data: QueryDict, *, person: User, comparison: Comparison) -> None:
        super().__init__(data)
        self.person, self.comparison = person, comparison

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "seconds" in self.errors:  # a clock that went wrong is no reason to lose a judgement
            del self.errors["seconds"]
        try:
            cleaned["seen"] = unseal(cleaned.get("seen", ""), self.person, self.comparison)
        except BrokenSeal as error:
            raise ValidationError(OUT_OF_DATE) from error
        if not self.errors:
            cleaned["said"] = self._said(cleaned)
        return cleaned

    def _said(self, cleaned: dict[str, Any]) -> Choice:
        choice, shown, reason = cleaned["choice"], cleaned["seen"].shown, cleaned["reason"]
        if choice == "tie":
            return tie(len(shown), reason=reason)
        if choice == "bad":
            return Choice(Kind.BOTH_BAD, reason=reason)
        if choice == "skip":
            return Choice(Kind.SKIPPED, reason=reason)
        if choice == "flag":
            return Choice(Kind.FLAGGED, flags=self._flags(), reason=reason)
        if choice == "edit":
            return self._edited(cleaned, shown, reason)
        about = {"strength": cleaned["strength"], "quality": cleaned["quality"], "reason": reason}
        if choice == "rank":
            return self._ranked(cleaned["ranking"], shown, about)
        if choice in {str(number) for number in range(1, len(shown) + 1)}:
            return best_of(shown[int(choice) - 1], len(shown), **about)
        raise ValidationError(f"Nothing was saved: “{choice[:20]}” is none of 1 to {len(shown)}, tie, bad, skip, flag.")

    def _flags(self) -> tuple[str, ...]:
        """Return what is wrong. The sentences stay as the page had them, even if an admin changed them since."""
        sentences = [line.strip()[:LONGEST_FLAG] for line in self.data.getlist("flags") if line.strip()]
        if not sentences and not self.cleaned_data["reason"]:
            raise ValidationError("Nothing was flagged: tick what is wrong, or say it in words.")
        if any(UNSTORABLE.search(sentence) for sentence in sentences):  # no sentence of a project has such characters
            raise ValidationError(OUT_OF_DATE)
        return tuple(dict.fromkeys(sentences[:MOST_FLAGS]))

    def numbers(self, shown: list[int]) -> set[str]:
        """Return what a text of their own can have been edited from."""
        return {str(number) for number in range(len(shown) + 1)}

    def _edited(self, cleaned: dict[str, Any], shown: list[int], reason: str) -> Choice:
        """Return what is said by a text of their own: the ranking that is placed, else that its origin is the best.

        What comes from nothing says that all of the answers are bad.
        """
        if not self.comparison.project.edits:
            raise ValidationError(SWITCHED_OFF)
        number = cleaned["edit_of"]
        if number not in self.numbers(shown):
            raise ValidationError(OUT_OF_DATE)
        parent = shown[int(number) - 1] if number != "0" else None
        try:
            about: dict[str, Any] = {
                "edit": read_edit(cleaned["edit"], parent, self.comparison, shown),
                "reason": reason,
            }
        except EditError as error:
            raise ValidationError({"edit": str(error)}) from error
        if parent is None:
            return Choice(Kind.BOTH_BAD, **about)
        if cleaned["ranking"]:
            return self._ranked(cleaned["ranking"], shown, about)
        return best_of(parent, len(shown), **about)

    def _ranked(self, ranking: str, shown: list[int], about: dict[str, Any]) -> Choice:
        try:
            return read_ranking(ranking, shown, **about)
        except ChoiceError as error:
            raise ValidationError({"ranking": str(error)}) from error
