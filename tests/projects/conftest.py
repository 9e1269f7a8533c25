"""What the tests of people share."""

import pytest

from projects.signals import person_left


@pytest.fixture
def left():
    """The (project, person) of each leaving that the apps above are told of."""
    heard = []

    def hear(sender, project, person, **_kwargs):
        heard.append((project, person))

    person_left.connect(hear)
    yield heard
    person_left.disconnect(hear)
