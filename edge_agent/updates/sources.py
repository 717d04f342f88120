"""Where TUF's files come from: a repository's web server, or a folder that somebody brought.

Both are fetchers of python-tuf's client, so that whatever the way, the same code verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from edge_agent.updates.pace import GRACE_S, Pace

_CHUNK: Final = 64 * 1024


class WebSource(FetcherInterface):
    """A repository on a web server.

    The socket's timeout bounds a server that is silent; a server that trickles is bounded by a
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
        pace = Pace(self._least_bytes_s, self._grace_s)
        got = 0
        try:
            with (
                httpx.Client(timeout=self._timeout_s, follow_redirects=False) as client,
                client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise DownloadHTTPError(
                        f"{url}: answered {answer.status_code}", answer.status_code
                    )
                encoding = answer.headers.get("Content-Encoding", "identity")
                if encoding != "identity":
                    raise DownloadError(
                        f"{url}: is sent as {encoding}; switch that off on the web server"
                    )
                # Raw: a file that grows when it is unpacked would pass a limit on bytes. As they
                # come: chunks of a fixed size would hide a trickle until one is full.
                for chunk in answer.iter_raw():
                    got += len(chunk)
                    yield chunk
                    if self._give_way():
                        raise DownloadError(f"{url}: let go of for something more urgent")
                    if slow := pace.fault(got):
                        raise SlowRetrievalError(f"{url}: {slow}; the repository is too slow")
        except httpx.TimeoutException as error:
            raise SlowRetrievalError(f"{url}: no answer for {self._timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"{url}: cannot be reached ({error})") from error


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
