"""A loopback HTTP server with moods, and one that plays a proxy for every host."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server:
    """A loopback HTTP server; `answers` maps paths to functions that write the response."""

    def __init__(self, httpd: ThreadingHTTPServer) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requested: list[str] = []
        self.queries: list[str] = []
        self.headers: list[Message] = []
        self.over = threading.Event()
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

    def misbehave(self, path: str, mood: str) -> str:
        """Answer as servers do that mean no good, or that are broken; `MOODS` names the ways."""
        self.answers[path] = lambda handler: MOODS[mood](self, handler)
        return self.url + path


def respond(handler, status: int, body: bytes, content_type: str, sent: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:sent])


BOMB = gzip.compress(bytes(2**20)) * 64
"""64 MiB of zeros in 64 kB."""


def _begin(handler, **headers: str) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _endless(server: Server, handler) -> None:
    _begin(handler)
    with suppress(OSError):
        while not server.over.is_set():
            handler.wfile.write(bytes(2**16))


def _dripping(server: Server, handler, start: bytes = b"HTTP/1.0 200 OK\r\n\r\n") -> None:
    """A byte every 20 ms: no socket ever waits for long."""
    handler.wfile.write(start)
    with suppress(OSError):
        while not server.over.wait(0.02):
            handler.wfile.write(b"x")


def _bomb(server: Server, handler) -> None:
    _begin(handler, Content_Encoding="gzip", Content_Length=str(len(BOMB)))
    handler.wfile.write(BOMB)


def _redirecting(handler, target: str) -> None:
    handler.send_response(302)
    handler.send_header("Location", target)
    handler.end_headers()


MOODS: dict[str, Callable[[Server, BaseHTTPRequestHandler], None]] = {
    "403": lambda server, handler: respond(handler, 403, b"no", "text/plain"),
    "a page": lambda server, handler: respond(handler, 200, b"<html>Sign in</html>", "text/html"),
    "a redirect loop": lambda server, handler: _redirecting(handler, handler.path),
    "a redirect to file://": lambda server, handler: _redirecting(handler, "file:///etc/hostname"),
    "a short body": lambda server, handler: respond(handler, 200, bytes(1000), "x/y", sent=500),
    "10 GB declared": lambda server, handler: _begin(handler, Content_Length=str(10**10)),
    "an endless body": _endless,
    "a slow body": _dripping,
    "slow headers": lambda server, handler: _dripping(server, handler, b"HTTP/1.0 200 OK\r\nX-Slow: "),
    "a gzip bomb": _bomb,
    "silence": lambda server, handler: server.over.wait(60),
    "an empty body": lambda server, handler: respond(handler, 200, b"", "x/y"),
}


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
            server.headers.append(self.headers)
            server.answers.get(path, lambda handler: respond(handler, 404, b"", "text/plain"))(self)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(httpd)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
