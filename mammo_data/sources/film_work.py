"""Work on every film of a source in threads, with only a few films in memory at a time, whatever their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from mammo_data.sources.base import ImageSource

_Result = TypeVar("_Result")


def work_on_films(
    source: ImageSource, work: Callable[[str, bytes], _Result], *, workers: int | None = None
) -> Iterator[tuple[str, _Result]]:
    """Do something with each film, in the source's cheapest order (OpenCV and numpy release the GIL).

    Args:
        source: The films.
        work: Called in a thread with a film's name and encoded bytes.
        workers: Threads; as many as there are cores by default.

    Yields:
        Name and result, as films are done: in no fixed order.
    """
    workers = workers or os.cpu_count() or 1

    def task(image_id: str, data: bytes) -> tuple[str, _Result]:
        return image_id, work(image_id, data)

    with ThreadPoolExecutor(workers, thread_name_prefix="films") as pool:
        pending: set[Future[tuple[str, _Result]]] = set()
        try:
            for image_id, data in source.stream():
                pending.add(pool.submit(task, image_id, data))
                if len(pending) >= 2 * workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()
