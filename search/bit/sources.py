"""The places that weights are fetched from: a place to its address, an address to a file in the user's cache.

A place is a TF-Hub or Kaggle handle, the address of a file, or a model's name on Hugging Face ("timm/…"). TensorFlow
Hub and huggingface_hub turn names into addresses and know what lies in their own caches; they fetch nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from mammo_data.errors import DataError
from mammo_data.fetch.resuming import ResumingDownload
from mammo_data.fetch.transfer import Limits
from search.errors import WeightsError

ALTERNATIVES = (
    "Fetch the weights on a machine with internet (mammo-search weights fetch) and name the file with --weights FILE, "
    "or use --weights random; --demo needs no weights."
)
LIMITS = Limits(most_bytes=2**30)
"""The largest of them, R101x1 with its ImageNet-21k head, has 0.35 GB."""
Progress = Callable[[int, int], None]
"""Is told (bytes there, bytes in all; 0 where the server does not say)."""

_TIMM_FILE = "model.safetensors"
# What Kaggle's archive ends in has no suffix.
_FILES = (".npz", ".safetensors", ".tar.gz", ".tgz", ".tar", "/download")


def cache_directory() -> Path:
    """The folder for downloaded and imported weights, in the user's cache folder (never a temporary one)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mammo-search")) / "weights"


def described(place: str) -> str:
    """A place in words, for reports and manifests."""
    kind = "TF-Hub" if _is_handle(place) else "" if is_address(place) else "Hugging Face"
    return f"{kind} {place}".strip()


@contextmanager
def fetched(
    place: str, cache: Path | None = None, *, limits: Limits = LIMITS, progress: Progress | None = None
) -> Iterator[Path]:
    """What a place has, as a local file or folder for the length of the block.

    What TensorFlow Hub or huggingface_hub keep in the user's own caches is read there. What is downloaded is removed at
    the block's end: it may be an error page, and the next attempt must ask again.

    Args:
        place: See above.
        cache: Where downloads go; the user's cache folder if None.
        limits: What the download may take.
        progress: Is told how far it is.

    Raises:
        WeightsError: If the server can't be reached, refuses, is too slow, sends too much or breaks off.
    """
    own = _in_the_users_caches(place)
    if own is not None:
        yield own
        return
    url = _address_of(place)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in urlsplit(url).path)[-60:]
    folder = (cache or cache_directory()) / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    file = folder / f"file{name}"
    if not file.is_file():
        # Of Hugging Face's own addresses alone, and of its mirror that the user names.
        token = "" if is_address(place) else _hugging_face_token()
        try:
            ResumingDownload(
                url, file, what="BiT weights", remedy=ALTERNATIVES, limits=limits, token=token, progress=progress
            ).finish()
        except DataError as error:
            if not any(folder.glob("*.part")):
                shutil.rmtree(folder, ignore_errors=True)
            raise WeightsError(expected=error.expected, found=error.found, remedy=error.remedy) from error
    try:
        yield file
    finally:
        shutil.rmtree(folder)


def _hugging_face_token() -> str:
    """The user's own: HF_TOKEN, else what `hf auth login` has kept; "" for none."""
    from huggingface_hub import constants

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return ""
    with suppress(OSError, UnicodeDecodeError):
        return os.environ.get("HF_TOKEN") or Path(constants.HF_TOKEN_PATH).read_text(encoding="utf-8")
    return ""


def is_address(place: str) -> bool:
    """Whether a place is an address, be it a handle or a file's."""
    return place.startswith(("http://", "https://"))


def _is_handle(place: str) -> bool:
    return is_address(place) and not urlsplit(place).path.endswith(_FILES)


def _address_of(place: str) -> str:
    if _is_handle(place):
        return _module_address(place)
    if is_address(place):
        return place
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise WeightsError(
            expected=f"BiT weights from {described(place)}",
            found="HF_HUB_OFFLINE set and no copy in huggingface_hub's cache",
            remedy=ALTERNATIVES,
        )
    return hf_hub_url(place, _TIMM_FILE, endpoint=os.environ.get("HF_ENDPOINT") or None)


def _module_address(handle: str) -> str:
    """The address of a module's .tar.gz."""
    with warnings.catch_warnings():
        # tensorflow_hub imports pkg_resources, whose deprecation no user of this package can act on.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
        try:
            from tensorflow_hub.compressed_module_resolver import HttpCompressedFileResolver
        except ImportError as error:
            # It needs tf_keras of TensorFlow's own minor version, and pkg_resources, which newer setuptools lack.
            raise WeightsError(
                expected="TensorFlow Hub that can be imported",
                found=f"{error}",
                remedy="Install setuptools below 81 and this TensorFlow's tf-keras, or name an npz with --weights.",
            ) from error
    return HttpCompressedFileResolver()._append_compressed_format_query(handle)


def _in_the_users_caches(place: str) -> Path | None:
    """Where TensorFlow Hub or huggingface_hub have kept it for the user, if they have."""
    if is_address(place):
        # tensorflow_hub names a module's folder by the SHA-1 of its handle; no secret is involved.
        name = hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()
        cache = os.environ.get("TFHUB_CACHE_DIR")
        return Path(cache, name) if cache and Path(cache, name).is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place, _TIMM_FILE)
    return Path(found) if isinstance(found, str) else None
