"""Beside: one more process, for what needs no TensorFlow while this one is busy with it.

The Python of two such parts does not fit into one process at a time, whatever their threads: one waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from search.machine.child import Child, Message, arrived
from search.machine.environment import cores

Result = TypeVar("Result")

_WAIT_SECONDS = 60.0


class Beside:
    """A process that carries out some calls in their order, begun with the first of them.

    Args:
        log: File that it logs into.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._child: Child | None = None
        self._answers: dict[int, Message] = {}

    def begin(self, function: Callable[..., Result], *arguments: Any) -> Callable[[], Result]:
        """Begin a call of a module's function.

        On one core there is no beside, and a process may be lost: then it is called here when its result is asked for.

        Returns:
            What waits for the result.
        """
        if cores() == 1:
            return lambda: function(*arguments)
        if self._child is None:
            self._child = Child(self._log)
        child, number = self._child, self._child.call(_called, function, arguments)

        def result() -> Result:
            while number not in self._answers and child.lost is None:
                arrived([child], _WAIT_SECONDS)
                self._answers |= {message.number: message for message in child.messages()}
            answer = self._answers.get(number)
            if answer is None:
                return function(*arguments)
            if answer.kind == "failed":
                raise answer.value
            value: Result = answer.value
            return value

        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.end()


def _called(told: Callable[[Any], None], function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return function(*arguments)
