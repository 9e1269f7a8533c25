"""A request to stop, made by a signal and obeyed where nothing is half done."""

from train.engine.errors import Stopped


class StopRequest:
    """Remembers that the run should end; the run asks at each micro-batch."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, *_signal: object) -> None:
        """Ask the run to stop. Fits `signal.signal`."""
        self.requested = True

    def check(self) -> None:
        """Raise Stopped if the run was asked to stop."""
        if self.requested:
            raise Stopped(
                "The run was asked to stop and has stopped. No policy was written; "
                "the same command goes on from its last checkpoint."
            )
