"""Functions for a child process to call."""

import os
import sys
import time
from pathlib import Path

from search.errors import ConfigError
from search.machine.child import Child, arrived


def doubled(told, number):
    told(f"{number} twice")
    return 2 * number


def refused(told):
    raise ConfigError(expected="2 or more", found="1", remedy="Ask for more.")


class Unsendable(Exception):
    def __init__(self, *, why):
        super().__init__(why)
        self.file = sys.stderr


def stumbled(told):
    raise Unsendable(why="over its own feet")


def kind_and_file(told, values):
    return type(values).__name__, getattr(values, "filename", None), float(values.sum())


def at_work(told):
    while True:
        sum(range(10**6))


def asleep(told):
    told(os.getpid())
    while True:
        time.sleep(60)


def ended(told, code):
    os._exit(code)


def driver(folder):
    """The main program of a driver that dies of whatever is done to it."""
    child = Child(Path(folder) / "log")
    child.call(asleep)
    while not (found := child.messages()):
        arrived([child], 1.0)
    print(found[0].value, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    # By its own name: the child could not find functions of a main program.
    from tests.support.called_in_a_child import driver

    driver(sys.argv[1])
