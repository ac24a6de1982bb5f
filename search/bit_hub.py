"""A TF-Hub handle to a local SavedModel folder, with every way that the network can fail told in one line."""

from __future__ import annotations

import http.client
import os
import tarfile
import urllib.error
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import WeightsError

ALTERNATIVES = (
    "Fetch the weights on a machine with internet (mammo-search weights fetch) and name the file with --weights FILE, "
    "or use --weights random; --demo needs no weights."
)


def cache_directory() -> Path:
    """The folder for downloaded and imported weights, in the user's cache folder (never a temporary one)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mammo-search")) / "weights"


def resolve_handle(handle: str, cache: Path | None = None) -> Path:
    """Download a TF-Hub module, or find it in the cache.

    Args:
        handle: `https://tfhub.dev/…`, `https://www.kaggle.com/…` or another address of a module's .tar.gz.
        cache: Where modules are kept; TFHUB_CACHE_DIR if the user set it, else the user's cache folder.

    Returns:
        The module's folder.

    Raises:
        WeightsError: If the server can't be reached, refuses, or sends something that is no module.
    """
    with warnings.catch_warnings():
        # tensorflow_hub imports pkg_resources, whose deprecation no user of this package can act on.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
        import tensorflow_hub

    try:
        with _hub_cache(cache):
            return Path(tensorflow_hub.resolve(handle))
    except urllib.error.HTTPError as error:
        raise _unreachable(handle, f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _unreachable(handle, f"no connection ({error.reason})") from error
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, http.client.HTTPException) as error:
        raise _unreachable(handle, f"an answer that is no complete module ({error})") from error


@contextmanager
def _hub_cache(cache: Path | None) -> Iterator[None]:
    """Point tensorflow_hub, which reads only the environment, at the cache for the length of one call."""
    before = os.environ.get("TFHUB_CACHE_DIR")
    if cache is None and before:
        yield
        return
    os.environ["TFHUB_CACHE_DIR"] = str((cache or cache_directory()) / "tfhub")
    try:
        yield
    finally:
        if before is None:
            del os.environ["TFHUB_CACHE_DIR"]
        else:
            os.environ["TFHUB_CACHE_DIR"] = before


def _unreachable(address: str, found: str) -> WeightsError:
    return WeightsError(expected=f"BiT weights from {address}", found=found, remedy=ALTERNATIVES)
