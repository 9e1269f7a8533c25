"""What becomes of somebody who is signed out in the middle of something."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse


class SignInMiddleware(LoginRequiredMiddleware):
    """Leads to the sign-in page and back. What was sent signed out was not done: back is the page it was sent from."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseRedirect:
        if request.method in ("GET", "HEAD"):
            return super().handle_no_permission(request, view_func)
        messages.warning(request, "You were signed out, so what you pressed was not done. Sign in and press it again.")
        came_from = urlsplit(request.headers.get("Referer", ""))
        back = came_from.path if came_from.netloc == request.get_host() else reverse("home")
        return redirect_to_login(back, str(self.get_login_url(view_func)), self.get_redirect_field_name(view_func))
