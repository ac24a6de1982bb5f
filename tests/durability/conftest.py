"""What the tests of killed jobs share."""

import pytest

from tests.support.fork_server import ForkServer


@pytest.fixture(scope="session")
def server():
    server = ForkServer()
    yield server
    server.close()
