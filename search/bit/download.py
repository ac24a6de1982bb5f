"""From an address or an archive to local files, with every way that the network can fail told in one line.

A TF-Hub handle becomes a SavedModel folder, an npz address a file; both are kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
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

PATIENCE_SECONDS = 60.0
"""Without a byte, after which a server is given up."""


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
        try:
            import tensorflow_hub
        except ImportError as error:
            # It needs tf_keras of TensorFlow's own minor version, and pkg_resources, which newer setuptools lack.
            raise WeightsError(
                expected="TensorFlow Hub that can be imported",
                found=f"{error}",
                remedy="Install setuptools below 81 and this TensorFlow's tf-keras, or name an npz with --weights.",
            ) from error

    try:
        with _hub_cache(handle, cache), _patience(PATIENCE_SECONDS):
            return Path(tensorflow_hub.resolve(handle))
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(handle, f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _unreachable(handle, f"no connection ({error.reason})") from error
    except TimeoutError as error:
        raise _unreachable(handle, f"no byte for {PATIENCE_SECONDS:g} seconds") from error
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, http.client.HTTPException) as error:
        # tensorflow_hub's own words say no more than the address.
        detail = "" if handle in str(error) else f" ({error})"
        raise _unreachable(handle, f"an answer that is no complete module{detail}") from error


def download_npz(url: str, cache: Path | None = None) -> Path:
    """Download an npz file, or find it in the cache.

    Raises:
        WeightsError: If the server can't be reached, refuses, or breaks off.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    folder = (cache or cache_directory()) / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    name = url.rpartition("/")[2]
    if not (folder / name).exists():
        # What a killed download left; the caller holds this package's own lock on the import.
        shutil.rmtree(folder, ignore_errors=True)
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname=name, path=folder))
    except requests.HTTPError as error:
        answer = error.response
        answer.close()
        raise _unreachable(url, f"HTTP {answer.status_code} {answer.reason}") from error
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
        raise _unreachable(url, "a download that broke off") from error
    except requests.ConnectionError as error:
        raise _unreachable(url, "no connection") from error
    except (OSError, ValueError) as error:
        raise _unreachable(url, f"a download that broke off ({error})") from error


@contextmanager
def _hub_cache(handle: str, cache: Path | None) -> Iterator[None]:
    """Point tensorflow_hub, which reads only the environment, at the cache for the length of one call."""
    before = os.environ.get("TFHUB_CACHE_DIR")
    if cache is None and before:
        yield
        return
    directory = (cache or cache_directory()) / "tfhub"
    _clear_interrupted(directory, handle)
    os.environ["TFHUB_CACHE_DIR"] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TFHUB_CACHE_DIR"]
        else:
            os.environ["TFHUB_CACHE_DIR"] = before


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let sockets time out for the length of a call: tensorflow_hub itself would wait for a silent server for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _clear_interrupted(directory: Path, handle: str) -> None:
    """Remove what a killed download left: tensorflow_hub would wait ten minutes for its lock.

    The caller holds this package's own lock on the import, so nobody else is downloading here.
    """
    # tensorflow_hub names a module's folder by the SHA-1 of its handle; no secret is involved.
    stem = hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
    (directory / f"{stem}.lock").unlink(missing_ok=True)
    for leftover in directory.glob(f"{stem}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _unreachable(address: str, found: str) -> WeightsError:
    return WeightsError(expected=f"BiT weights from {address}", found=found, remedy=ALTERNATIVES)
