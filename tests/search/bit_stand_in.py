"""Stand-ins for what the internet would send: SavedModels in TF-Hub's format, npz files, and a server with moods."""

from __future__ import annotations

import ssl
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from search.bit_architecture import BitArchitecture


def stand_in_arrays(arch: BitArchitecture) -> dict[str, np.ndarray]:
    """Weights with the official names and shapes, none of them constant."""
    return {name: _array(name, shape) for name, shape in arch.variable_shapes.items()}


def _array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    low = 0.5 if name.endswith("gamma") else -0.3
    return (rng.uniform(low, 1.5, shape) if len(shape) == 1 else rng.normal(0.01, 0.03, shape)).astype("float32")


def write_saved_model(
    directory: Path,
    arch: BitArchitecture,
    *,
    named: bool = True,
    order: Callable[[dict], list[str]] = list,
    forward: str = "right",
) -> Path:
    """A module as TF-Hub serves it: variables in a list (so that checkpoint keys are positions), input in [0, 1].

    Its forward pass is written with TensorFlow's primitives, apart from the package's graph.

    Args:
        directory: Where to write it.
        arch: Architecture.
        named: Give the variables their official names.
        order: Order of the list.
        forward: "right", "wrong" (takes [−1, 1]) or "none".
    """
    import tensorflow as tf

    arrays = stand_in_arrays(arch)
    module = tf.Module()
    variables = {
        name: tf.Variable(arrays[name], name=name if named else f"v{i}") for i, name in enumerate(order(arrays))
    }
    module.parameters = list(variables.values())
    if forward != "none":

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def call(images):
            return _features(variables, arch, images if forward == "wrong" else 2 * images - 1)

        module.__call__ = call
        tf.saved_model.save(module, str(directory), signatures=call)
    else:
        tf.saved_model.save(module, str(directory))
    return directory


def _features(v, arch, x):
    import tensorflow as tf

    def convolve(x, name, stride=1):
        kernel = v[f"{name}/standardized_conv2d/kernel"]
        mean, variance = tf.nn.moments(kernel, (0, 1, 2))
        pad = kernel.shape[0] // 2
        x = tf.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        return tf.nn.conv2d(x, (kernel - mean) / tf.sqrt(variance + 1e-10), stride, "VALID")

    def norm_relu(x, name):
        shape = tf.shape(x)
        grouped = tf.reshape(x, (shape[0], -1, arch.groups, x.shape[-1] // arch.groups))
        mean, variance = tf.nn.moments(grouped, (1, 3), keepdims=True)
        x = tf.reshape((grouped - mean) / tf.sqrt(variance + 1e-5), shape)
        return tf.nn.relu(x * v[f"{name}/group_norm/gamma"] + v[f"{name}/group_norm/beta"])

    x = tf.pad(convolve(x, "resnet/root_block", 2), ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    for block, units in enumerate(arch.units, 1):
        for unit in range(1, units + 1):
            name = f"resnet/block{block}/unit{unit:02d}"
            stride = 2 if unit == 1 and block > 1 else 1
            h = norm_relu(x, f"{name}/a")
            shortcut = convolve(h, f"{name}/a/proj", stride) if unit == 1 else x
            h = norm_relu(convolve(h, f"{name}/a"), f"{name}/b")
            h = norm_relu(convolve(h, f"{name}/b", stride), f"{name}/c")
            x = shortcut + convolve(h, f"{name}/c")
    return tf.reduce_mean(norm_relu(x, "resnet"), (1, 2))


def write_archive(path: Path, directory: Path) -> Path:
    """A SavedModel's .tar.gz as TF-Hub serves it, its files at the top."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(directory, arcname=".")
    return path


class Server:
    """A loopback HTTP server; `answers` maps paths to functions that write the response."""

    def __init__(self, httpd: ThreadingHTTPServer) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requested: list[str] = []
        self.queries: list[str] = []
        self.url = f"http://127.0.0.1:{httpd.server_address[1]}"

    def serve(self, path: str, body: bytes, *, content_type: str = "application/octet-stream") -> str:
        self.answers[path] = lambda handler: respond(handler, 200, body, content_type)
        return self.url + path

    def redirect(self, path: str, target: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer
        return self.url + path

    def refuse(self, path: str, status: int = 403) -> str:
        self.answers[path] = lambda handler: respond(handler, status, b"no", "text/plain")
        return self.url + path

    def truncate(self, path: str, body: bytes) -> str:
        """Announce the whole body and send half of it."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            respond(handler, 200, body, "application/octet-stream", sent=len(body) // 2)

        self.answers[path] = answer
        return self.url + path


def respond(handler, status: int, body: bytes, content_type: str, sent: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:sent])


@contextmanager
def running_proxy(certificate: Path) -> Iterator[Server]:
    """A proxy that answers for every host itself, over TLS; its paths begin with the host's name."""
    with running_server(certificate) as server:
        yield server


@contextmanager
def running_server(certificate: Path | None = None) -> Iterator[Server]:
    """A server on a free port for the length of the block; a proxy for all hosts if it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        prefix = ""

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.prefix = f"/{self.path.removesuffix(':443')}"
            self.close_connection = False

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            path = f"{self.prefix}{path}"
            server.requested.append(path)
            server.queries.append(query)
            server.answers.get(path, lambda handler: respond(handler, 404, b"", "text/plain"))(self)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(httpd)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
