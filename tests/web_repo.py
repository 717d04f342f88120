"""Web servers on loopback that serve a repository, or misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class Web:
    """A web server on loopback: a repository's folder, or something that misbehaves."""

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class Endless(Quiet):
    """Answers everything with data that does not end, once the root has been read."""

    chunk: ClassVar[bytes] = b" " * 65536
    pause_s: ClassVar[float] = 0.0

    def do_GET(self) -> None:
        if "root" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(self.chunk)
                self.wfile.flush()
                time.sleep(self.pause_s)
        except OSError:
            pass


class Trickling(Endless):
    """Sends a byte now and then: never silent, never done."""

    chunk = b" "
    pause_s = 0.05


class TricklingHeaders(Endless):
    """Begins an answer, and never comes to the file: a header after the other."""

    def do_GET(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-More: x\r\n")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass


class Silent(Quiet):
    """Takes the request and says nothing."""

    def do_GET(self) -> None:
        time.sleep(12.0)


class Elsewhere(Quiet):
    """Sends the station to another address."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()


class Moody(Quiet):
    """Serves a folder well, or as one of the others does: `mood` says which."""

    mood: ClassVar[type[Quiet] | None] = None
    folder: ClassVar[Path]

    def __init__(self, *given: object) -> None:
        super().__init__(*given, directory=str(self.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.mood is None:
            super().do_GET()
        else:
            self.__class__ = self.mood  # type: ignore[assignment]
            self.do_GET()
