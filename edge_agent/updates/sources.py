"""Where TUF's files come from: a repository's web server, or a folder that somebody brought.

Both are fetchers of python-tuf's client, so that whatever the way, the same code verifies.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from edge_agent.updates.pace import GRACE_S, Pace

_CHUNK: Final = 64 * 1024
_LOOK_S: Final = 0.2


class WebSource(FetcherInterface):
    """A repository on a web server.

    A server that is silent, or trickles whatever it may, is bounded by the socket's timeout and a
    least rate for each file (TUF specification 1.0.34 section 1.5.2, slow retrieval attacks).
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        least_bytes_s: float = 20_000.0,
        grace_s: float = GRACE_S,
        give_way: Callable[[], bool] = lambda: False,
    ) -> None:
        """url: of the repository's folder, http or https. give_way: asked as a file comes; it is
        let go of where something else is more urgent."""
        self.base = url.rstrip("/") + "/"
        self.name = url
        self._timeout_s = timeout_s
        self._least_bytes_s = least_bytes_s
        self._grace_s = grace_s
        self._give_way = give_way

    def _fetch(self, url: str) -> Iterator[bytes]:
        """See FetcherInterface. Redirects are not followed: the repository has one address."""
        minder = _Minder(url, Pace(self._least_bytes_s, self._grace_s), self._give_way)
        minder.require()
        try:
            with (
                minder,
                httpx.Client(timeout=self._timeout_s, follow_redirects=False) as client,
                client.stream(
                    "GET",
                    url,
                    headers={"Accept-Encoding": "identity"},
                    extensions={"trace": minder.see},
                ) as answer,
            ):
                self._require_plain(url, answer)
                # Raw: a file that grows when it is unpacked would pass a limit on bytes. As they
                # come: chunks of a fixed size would hide a trickle until one is full.
                for chunk in answer.iter_raw():
                    minder.size += len(chunk)
                    yield chunk
                    minder.require()
            # Where the end of the connection is the end of the file.
            minder.require()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if minder.fault is not None:
                raise minder.fault from error
            if isinstance(error, httpx.TimeoutException):
                raise SlowRetrievalError(f"{url}: no answer for {self._timeout_s:g} s") from error
            raise DownloadError(f"{url}: cannot be reached ({error})") from error

    @staticmethod
    def _require_plain(url: str, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            raise DownloadHTTPError(f"{url}: answered {answer.status_code}", answer.status_code)
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise DownloadError(f"{url}: is sent as {encoding}; switch that off on the web server")


class _Minder:
    """Ends a download that is too slow or has to give way.

    From a thread of its own: whoever sends decides when a read returns, and can send header lines
    or chunk extensions for ever.
    """

    def __init__(self, url: str, pace: Pace, give_way: Callable[[], bool]) -> None:
        self.size = 0
        """Bytes of the file so far."""
        self.fault: DownloadError | None = None
        """Why it was ended."""
        self._url, self._pace, self._give_way = url, pace, give_way
        self._socket: socket.socket | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._mind, name="download", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def see(self, event: str, info: Mapping[str, Any]) -> None:
        """httpx's trace: the socket as soon as there is one."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def require(self) -> None:
        """Raises DownloadError if the download is to end."""
        self.fault = self.fault or self._found()
        if self.fault is not None:
            raise self.fault

    def _found(self) -> DownloadError | None:
        if self._give_way():
            return DownloadError(f"{self._url}: let go of for something more urgent")
        slow = self._pace.fault(self.size)
        if slow is None:
            return None
        return SlowRetrievalError(f"{self._url}: {slow}; the repository is too slow")

    def _mind(self) -> None:
        while not self._done.wait(_LOOK_S):
            self.fault = self.fault or self._found()
            if self.fault is not None and self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                return


class FolderSource(FetcherInterface):
    """A repository's files in a folder: a delivery that was pushed, or a stick.

    Only names directly below `metadata/` and `targets/` are looked up, as TUF asks for them.
    """

    base: Final = "delivery:///"

    def __init__(self, folder: Path, name: str) -> None:
        """name: what to call it in messages."""
        self.folder = folder
        self.name = name

    def _fetch(self, url: str) -> Iterator[bytes]:
        """See FetcherInterface. A file that is not there is a 404, as TUF's root chain ends."""
        kind, _, name = unquote(urlsplit(url).path).lstrip("/").partition("/")
        file = self.folder / kind / name
        if kind not in ("metadata", "targets") or Path(name).name != name or not file.is_file():
            raise DownloadHTTPError(f"{self.name}: has no {kind}/{name}", 404)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


Source = WebSource | FolderSource
