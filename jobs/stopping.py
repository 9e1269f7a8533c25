"""How a process asks the job it is running to end soon: the runner sees the flag within a second."""

import signal
import threading
from types import FrameType

from celery.signals import worker_shutting_down

_stop = threading.Event()


def stop_requested() -> bool:
    return _stop.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but wake at once when a stop is asked for. Return whether one was."""
    return _stop.wait(seconds)


def request_stop(*_args: object, **_kwargs: object) -> None:
    _stop.set()


def stop_on_signals() -> None:
    """Turn SIGTERM and SIGINT into a request to stop, for the processes that are not Celery workers."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        request_stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


worker_shutting_down.connect(request_stop)
