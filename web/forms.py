from typing import Any

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "This name and this password do not belong together. Both tell capitals from small letters.",
    }

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.fields["username"].label = "Sign-in name"


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
