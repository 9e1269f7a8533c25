"""What people may type about who is in a project, and about accounts."""

from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm, UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from projects.access import add_member
from projects.accounts import accounts
from projects.invitations import DAYS
from projects.models import Membership, Project
from projects.people import add_new_person

ROLES = [
    (Membership.Role.ANNOTATOR, "Annotator: judges answers"),
    (Membership.Role.ADMIN, "Admin: runs the project"),
]
BAD_NAME = "A sign-in name has only letters, digits and @ . + - _, and no spaces."


class AddPersonForm(forms.Form):
    """Somebody with an account joins, or gets an account first. Which of the two is said, so no slip makes one."""

    KNOWN, NEW = "known", "new"

    username = UsernameField(label="Sign-in name", max_length=150)
    account = forms.ChoiceField(
        label="Account", choices=[(KNOWN, "Has one here already"), (NEW, "Make a new one")], initial=KNOWN
    )
    role = forms.ChoiceField(label="Role", choices=ROLES, initial=Membership.Role.ANNOTATOR)

    def __init__(self, project: Project, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.project = project
        self.fields["username"].error_messages["required"] = "Give the name they sign in with."
        self.fields["username"].widget.attrs["autocomplete"] = "off"  # it is somebody else's name

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if username := values.get("username"):
            values["user"] = User.objects.filter(username__iexact=username).order_by("pk").first()
            self._check(username, values["user"], new=values.get("account") == self.NEW)
        return values

    def _check(self, username: str, user: User | None, *, new: bool) -> None:
        if new and user:
            self.add_error("username", f"The name {user} is taken. Choose another, or add the person who has it.")
        elif new:
            self._check_new(username)
        elif user is None:
            self.add_error(
                "username", f"Nobody signs in as {username}. Check the spelling, or have a new account made."
            )
        elif not user.is_active:
            self.add_error("username", f"The account {user} is deactivated. An operator can reactivate it.")
        elif self.project.memberships.filter(user=user, left_at=None).exists():
            self.add_error("username", f"{user} is in this project already.")

    def _check_new(self, username: str) -> None:
        try:
            UnicodeUsernameValidator()(username)
        except ValidationError:
            self.add_error("username", BAD_NAME)

    def add(self) -> tuple[Membership, str]:
        """Add the person; return the membership and, for a new account, its password."""
        values = self.cleaned_data
        if values["account"] == self.NEW:
            return add_new_person(self.project, values["username"], values["role"])
        return add_member(self.project, values["user"], values["role"]), ""


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role.choices)


class InviteForm(forms.Form):
    """A link by which people join. Its fields have ids of their own: the page has another form with a role."""

    ONE, MANY = "one", "many"

    role = forms.ChoiceField(label="Who joins is", choices=ROLES, initial=Membership.Role.ANNOTATOR)
    people = forms.ChoiceField(
        label="The link is for", choices=[(ONE, "One person"), (MANY, "Everybody who gets it")], initial=ONE
    )
    days = forms.TypedChoiceField(
        label="It can be used for",
        choices=[(days, f"{days} day{'s' if days > 1 else ''}") for days in DAYS],
        coerce=int,
        initial=7,
    )

    def __init__(self, data: Any = None):
        super().__init__(data, auto_id="invite_%s")

    def most_uses(self) -> int | None:
        return 1 if self.cleaned_data["people"] == self.ONE else None


class NewAccountForm(UserCreationForm):
    """Somebody with a link makes an account of their own."""

    LABELS = {"username": "Sign-in name", "password1": "Password", "password2": "Password again"}
    error_messages = {"password_mismatch": "The two are not the same. Type the password again."}

    class Meta:
        model = User
        fields = ["username"]
        error_messages = {
            "username": {
                "required": "Choose the name that you will sign in with.",
                "invalid": BAD_NAME,
                "unique": "This name is taken. Choose another; if it is yours, sign in with it.",
            }
        }

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        for name, label in self.LABELS.items():
            self.fields[name].label = label
            self.fields[name].help_text = ""
        self.fields["username"].help_text = "Letters, digits and @ . + - _, without spaces."
        self.fields["username"].widget.attrs.pop("autofocus", None)
        self.fields["password1"].help_text = "At least 8 characters, unlike your name, and not a common one."


class AccountFilterForm(forms.Form):
    STATES = {"active": True, "deactivated": False}

    search = forms.CharField(
        required=False, max_length=150, widget=forms.TextInput({"type": "search", "placeholder": "Search the names"})
    )
    state = forms.ChoiceField(
        required=False, choices=[("", "All accounts"), ("active", "Active"), ("deactivated", "Deactivated")]
    )

    def accounts(self) -> "QuerySet[User]":
        """Return what is asked for; a filter that makes no sense is passed over."""
        found = accounts()
        if not self.is_valid():
            return found
        if state := self.cleaned_data["state"]:
            found = found.filter(is_active=self.STATES[state])
        if search := self.cleaned_data["search"]:
            found = found.filter(username__icontains=search)
        return found
