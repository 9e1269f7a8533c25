from typing import Any

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "This name and this password do not belong together. Both tell capitals from small letters.",
        "inactive": "This account is deactivated. An operator can reactivate it.",
    }

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.fields["username"].label = "Sign-in name"

    def get_invalid_login_error(self) -> ValidationError:
        """Whoever knows the password of a deactivated account is told so; nobody else learns that there is one."""
        person = User.objects.filter(username=self.cleaned_data["username"], is_active=False).first()
        if person and person.check_password(self.cleaned_data["password"]):
            return ValidationError(self.error_messages["inactive"], code="inactive")
        return super().get_invalid_login_error()


class NewPasswordForm(PasswordChangeForm):
    LABELS = {"old_password": "Password now", "new_password1": "New password", "new_password2": "New password again"}
    error_messages = {
        **PasswordChangeForm.error_messages,
        "password_incorrect": "This is not your password now. Type it again.",
        "password_mismatch": "The two are not the same. Type the new password again.",
    }

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        for name, label in self.LABELS.items():
            self.fields[name].label = label
            self.fields[name].help_text = ""
        self.fields["new_password1"].help_text = "At least 8 characters, unlike your name, and not a common one."
