"""Winnow's settings. Every one that an operator may change is an environment variable, listed in docs/operators.md."""

import os
import secrets
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF

BASE_DIR = Path(__file__).resolve().parent.parent


def env_flag(name: str, default: str = "0") -> bool:
    return os.environ.get(name, default).lower() in ("1", "true", "yes", "on")


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def stored_secret(path: Path) -> str:
    """Return the secret kept in `path`, making it, readable by its owner alone, if there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secret := secrets.token_urlsafe(50))
    return secret


# Everything that is not a row lives here.
WINNOW_HOME = Path(os.environ.get("WINNOW_HOME", BASE_DIR / "var")).resolve()
# Judgements, sessions and password hashes are in it: nobody else on this machine may look inside.
WINNOW_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
if WINNOW_HOME.stat().st_uid == os.getuid():
    WINNOW_HOME.chmod(0o700)
for folder in ("log", "run", "policies", "rounds", "datasets", "imports", "broker/messages", "broker/control"):
    (WINNOW_HOME / folder).mkdir(parents=True, exist_ok=True)

WINNOW_LISTEN = os.environ.get("WINNOW_LISTEN", "127.0.0.1:8000")  # address:port of the web server

DEBUG = env_flag("WINNOW_DEBUG")
SECRET_KEY = os.environ.get("WINNOW_SECRET_KEY") or stored_secret(WINNOW_HOME / "secret-key")
ALLOWED_HOSTS = env_list("WINNOW_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("WINNOW_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "csp",
    "jobs",
    "projects",
    "generation",
    "annotate",
    "train",
    "web",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "web.signing_in.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# SQLite unless DATABASE_URL names a PostgreSQL. Writers queue instead of failing, and a commit is on the disk.
# PostgreSQL keeps the plans of what is asked again and again, which halves its work at each judgement.
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("DATABASE_URL") or f"sqlite:///{WINNOW_HOME / 'winnow.sqlite3'}", conn_max_age=600
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "jobs.sqlite"
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;",
    }
else:
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"].get("OPTIONS", {}),
        "server_side_binding": True,
        "prepare_threshold": 2,  # from the third time on
    }
# One Python process uses one core.
MOST_PROCESSES = 2 if DATABASES["default"]["ENGINE"] == "jobs.sqlite" else 4
WINNOW_WEB_PROCESSES = int(os.environ.get("WINNOW_WEB_PROCESSES") or min(os.cpu_count() or 1, MOST_PROCESSES))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env_flag("WINNOW_HTTPS"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# What a model writes is hostile: nothing on a page may run or load but our own files.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Time and language. UTC in the database, the reader's own time on the page (static/winnow.js).
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = WINNOW_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# Jobs. Without CELERY_BROKER_URL the messages are files in the data folder: no broker server is needed.
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(WINNOW_HOME / "broker/messages"),
        "data_folder_out": str(WINNOW_HOME / "broker/messages"),
        "control_folder": str(WINNOW_HOME / "broker/control"),
        "polling_interval": 0.5,
    }
CELERY_TASK_DEFAULT_QUEUE = "light"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 15
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

WINNOW_STALE_SECONDS = int(os.environ.get("WINNOW_STALE_SECONDS", "30"))  # a runner silent this long is dead

# The device and its model server
WINNOW_DEVICE = os.environ.get("WINNOW_DEVICE", "")  # "cpu" or "cuda"; empty: cuda where nvidia-smi answers
WINNOW_SAMPLER = os.environ.get("WINNOW_SAMPLER", "vllm")  # or "transformers", the slow one
WINNOW_VLLM_PYTHON = os.environ.get("WINNOW_VLLM_PYTHON", "")  # empty: the Python that runs Winnow
WINNOW_VLLM_ARGS = os.environ.get("WINNOW_VLLM_ARGS", "")  # further flags for vLLM's server
WINNOW_VLLM_KV_CACHE_GIB = int(os.environ.get("WINNOW_VLLM_KV_CACHE_GIB", "1"))  # on a CPU only
WINNOW_CONTEXT_TOKENS = int(os.environ.get("WINNOW_CONTEXT_TOKENS", "2048"))  # prompt and answer, at most

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": os.environ.get("WINNOW_LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "markdown_it": {"level": "WARNING"}},
}
