"""A loopback HTTP server with moods, and one that plays a proxy for every host."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


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
