"""What the judge page sends."""

import uuid
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from annotate.blind import BrokenSeal, unseal
from annotate.judging import Choice, ChoiceError, Kind, best_of, read_ranking, tie
from annotate.models import Comparison

OUT_OF_DATE = "That page was out of date, so nothing was saved from it. Please choose again here."


class SubmitForm(forms.Form):
    """A submit that may come twice. Without a key from the page it counts as a new one."""

    client_key = forms.UUIDField(required=False, error_messages={"invalid": OUT_OF_DATE})

    def clean_client_key(self) -> str:
        return str(self.cleaned_data["client_key"] or uuid.uuid4())


class ChoiceForm(SubmitForm):
    """A choice, in the numbers that the page showed. `cleaned_data` holds `said`, a Choice of slots, and `seen`."""

    seen = forms.CharField(required=False)
    choice = forms.CharField(required=False)
    ranking = forms.CharField(required=False, max_length=100)

    def __init__(self, data: Any, *, person: User, comparison: Comparison) -> None:
        super().__init__(data)
        self.person, self.comparison = person, comparison

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            cleaned["seen"] = unseal(cleaned.get("seen", ""), self.person, self.comparison)
        except BrokenSeal as error:
            raise ValidationError(OUT_OF_DATE) from error
        if not self.errors:
            cleaned["said"] = self._said(cleaned["choice"], cleaned["ranking"], cleaned["seen"].shown)
        return cleaned

    def _said(self, choice: str, ranking: str, shown: list[int]) -> Choice:
        if choice == "tie":
            return tie(len(shown))
        if choice == "bad":
            return Choice(Kind.BOTH_BAD)
        if choice == "skip":
            return Choice(Kind.SKIPPED)
        if choice == "rank":
            return self._ranked(ranking, shown)
        if choice in {str(number) for number in range(1, len(shown) + 1)}:
            return best_of(shown[int(choice) - 1], len(shown))
        raise ValidationError(f"Nothing was saved: “{choice[:20]}” is none of 1 to {len(shown)}, tie, bad or skip.")

    def _ranked(self, ranking: str, shown: list[int]) -> Choice:
        try:
            return read_ranking(ranking, shown)
        except ChoiceError as error:
            raise ValidationError({"ranking": str(error)}) from error
