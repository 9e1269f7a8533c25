"""Makes signed-in people in Label Studio. Run by its own Python (benchmarks.label_studio), which has no Winnow."""

import json
import os
import sys
import time
from importlib.util import find_spec


def main() -> None:
    sys.path.pop(0)  # this file's folder, where another module has Label Studio's name
    sys.path.insert(0, next(iter(find_spec("label_studio").submodule_search_locations)))
    os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"
    import django

    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from organizations.models import Organization
    from users.models import User

    people, organization = [], None
    for number in range(json.load(sys.stdin)["people"]):
        name = f"person-{number:03}"
        user = User.objects.create(email=f"{name}@example.com", username=name, password="!")
        if organization is None:
            organization = Organization.create_organization(created_by=user, title="Benchmark")
        else:
            organization.add_user(user)
        user.active_organization = organization
        user.save()
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session["last_login"] = time.time()
        session["keep_me_logged_in"] = True
        session.save()
        people.append({"name": name, "session": session.session_key})
    print(json.dumps(people))


if __name__ == "__main__":
    main()
