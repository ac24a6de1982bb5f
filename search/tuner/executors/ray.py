"""Workers on a Ray cluster, for where a second machine begins: an actor a worker, and in it a process of ours.

Ray places the actors and carries frames of bytes; training, its threads and its death are the process's affair, as on
one host. Nothing of Ray's is relied on to come back: its actors are not restarted, its calls not repeated, every wait
has an end, and what a lost worker had is given to another one by the driver.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search.errors import ConfigError, RunError
from search.machine.child import Child, Message, arrived, call_frame, message_of
from search.machine.places import WorkerPlace

_ANSWER_SECONDS = 90.0
"""An actor that doesn't answer for so long counts as lost; on a busy machine its start takes half of it."""

_NEWS_SECONDS = 1.0
_ROOM_AGAIN_SECONDS = 5.0


class _Actor:
    """What Ray places on a machine: a process, and what is said to it and by it."""

    def __init__(self, log: str, environment: dict[str, str]) -> None:
        # Where no GPU was asked for, Ray hides none.
        environment = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""), **environment}
        self._child = Child(Path(log), environment)

    def send(self, frame: bytes) -> None:
        """Pass a call on."""
        self._child.send(frame)

    def news(self) -> tuple[list[bytes], float]:
        """What the process has said, waiting a little for it, and for how long it has been idle."""
        arrived([self._child], _NEWS_SECONDS)
        return self._child.frames(), self._child.idle_seconds


class RayProcess:
    """A worker's process as the driver sees it.

    Args:
        ray: The module.
        actor: Handle of its `_Actor`.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._calls = 0
        self._idle, self._asked, self._news = 0.0, 0.0, None
        self.lost: str | None = None

    @property
    def idle_seconds(self) -> float:
        """Since it last told, answered or used its processor, as it was last known."""
        return self._idle

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Call a module's function; gives the call's number."""
        number, self._calls = self._calls, self._calls + 1
        self._actor.send.remote(call_frame(number, function, arguments))
        return number

    def ask(self) -> Any:
        """The answer to come of what the process has said; an actor does one thing at a time, and calls wait for it."""
        if self._news is None:
            self._news, self._asked = self._actor.news.remote(), time.monotonic()
        return self._news

    def messages(self) -> list[Message]:
        """What has arrived."""
        if self.lost is not None:
            return []
        try:
            ready, _ = self._ray.wait([self.ask()], timeout=0)
            if not ready:
                if time.monotonic() - self._asked < _ANSWER_SECONDS:
                    return []
                raise TimeoutError
            frames, self._idle = self._ray.get(self._news, timeout=_ANSWER_SECONDS)
        except Exception as error:  # noqa: BLE001  # Ray has a dozen for a node that has gone
            self.lost = f"with its node or its actor ({type(error).__name__})"
            return [Message(-1, "lost", self.lost)]
        self._news = None
        found = [message_of(frame) for frame in frames]
        if found and found[-1].kind == "lost":
            self.lost = str(found[-1].value)
        return found

    def end(self) -> None:
        """Kill the actor, and with it the process."""
        with suppress(Exception):  # its node may have gone
            self._ray.kill(self._actor, no_restart=True)
        self.lost = self.lost or "ended"


class RayCluster:
    """A cluster that this process has joined as a driver.

    Args:
        address: Its address, or "auto".
        say: Told what the user has to know.

    Raises:
        ConfigError: If Ray is not installed, or not asked to keep strangers out.
        RunError: If there is no such cluster.
    """

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        require_token(say)
        ray = import_ray()
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # noqa: BLE001  # whatever the connection stumbles over
            raise RunError(
                expected=f"a Ray cluster at {address}",
                found=" ".join(f"{type(error).__name__}: {error}".split())[:200],
                remedy="Start one (`ray start --head`), with the same token here as there.",
            ) from None
        finally:
            if on_sigterm is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own there
        self._ray, self._no_room_until = ray, 0.0

    def places(self, workers: int) -> tuple[WorkerPlace, ...]:
        """Where so many workers work: as many cores for each as all of them can have, and a GPU where there are any.

        Raises:
            ConfigError: If there is less than a core, or a GPU, for each, or GPUs are of several kinds.
        """
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cores = [int(node.get("CPU", 0)) for node in nodes]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        have, kind = (gpus, "GPU") if gpus else (sum(cores), "core")
        if not 1 <= workers <= have:
            raise ConfigError(
                expected=f"--workers from 1 to {have}, one a {kind} of the cluster",
                found=str(workers),
                remedy="Ask for fewer.",
            )
        models = sorted({name for node in nodes for name in node if name.startswith("accelerator_type:")})
        if gpus and len(models) > 1:
            raise ConfigError(
                expected="a cluster with GPUs of one kind, for results depend on the kind",
                found=", ".join(name.removeprefix("accelerator_type:") for name in models),
                remedy="Start Ray on the nodes of one kind alone.",
            )
        share = max(each for each in range(1, max(cores) + 1) if sum(count // each for count in cores) >= workers)
        environment = {"GPU": "1"} if gpus else {}
        return tuple(WorkerPlace(f"worker {number}", share, environment) for number in range(1, workers + 1))

    def start(self, place: WorkerPlace, log: Path) -> RayProcess | None:
        """An actor; None where the cluster has no room now, as after the loss of a node."""
        wanted = {"CPU": float(place.cores)} | ({"GPU": 1.0} if "GPU" in place.environment else {})
        if time.monotonic() < self._no_room_until:
            return None
        free = self._ray.available_resources()
        if any(free.get(kind, 0.0) < count for kind, count in wanted.items()):
            self._no_room_until = time.monotonic() + _ROOM_AGAIN_SECONDS
            return None
        actor = self._ray.remote(_Actor).options(
            num_cpus=wanted["CPU"], num_gpus=wanted.get("GPU", 0.0), max_restarts=0, max_task_retries=0
        )
        return RayProcess(self._ray, actor.remote(str(log.absolute()), {"OMP_NUM_THREADS": str(place.cores)}))

    def arrived(self, processes: Sequence[RayProcess], seconds: float) -> None:
        """Return when one of them has said something or has ended, or after so long."""
        with suppress(Exception):  # what has gone is told by its messages
            self._ray.wait([process.ask() for process in processes], timeout=seconds)

    def leave(self) -> None:
        """End what was started in it."""
        with suppress(Exception):
            self._ray.shutdown()


def import_ray() -> Any:
    """The module, told to carry no environment of uv's to other nodes, where ours is installed.

    Raises:
        ConfigError: If it is not installed, or too old to keep strangers out.
    """
    try:
        installed = version("ray")
    except PackageNotFoundError:
        installed = "none"
    if installed == "none" or tuple(int(part) for part in installed.split(".")[:2]) < (2, 60):
        raise ConfigError(
            expected="Ray 2.60 or newer, for --ray-address",
            found=installed,
            remedy="Install mammo-search[cluster] on every node.",
        )
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    return ray


def require_token(say: Callable[[str], None]) -> None:
    """See that Ray authenticates: whoever reaches its ports can otherwise run code. It looks once, when it is imported.

    Args:
        say: Told where the token's file could be read by others, which is mended.

    Raises:
        ConfigError: If it was told not to.
    """
    if os.environ.setdefault("RAY_AUTH_MODE", "token") != "token":
        raise ConfigError(
            expected="RAY_AUTH_MODE=token, in the cluster and here",
            found=os.environ["RAY_AUTH_MODE"],
            remedy="Unset it; `ray get-auth-token --generate` makes a token, which every node needs.",
        )
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        file.chmod(0o600)
        say(f"{file} could be read by others; now it can't")
