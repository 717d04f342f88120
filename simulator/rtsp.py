"""An RTSP server for virtual cameras (RFC 2326), TCP-interleaved, with digest authentication.

Written for the simulator because it must do what no server in the field would: send pictures with
a known latency, jitter and clock error, and break on demand.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from simulator.feed import Fault, Feed, Shot
from simulator.rtp import PAYLOAD_TYPE, Packetizer
from simulator.video import Clip

log = logging.getLogger(__name__)

REALM = "cane-sim"
SENDER_REPORT_INTERVAL_S = 5.0
_MAX_HEADER_BYTES = 16_384
_MAX_WAITING_SHOTS = 250


@dataclass
class _Request:
    method: str
    url: str
    headers: dict[str, str]


@dataclass
class RtspServer:
    """Serves each feed at `/Streaming/Channels/<channel>`, as Hikvision recorders do.

    feeds: by channel number, such as 301. username/password: None serves everybody.
    refusals counts answers 401 to requests that did carry credentials.
    """

    feeds: dict[int, Feed]
    now: Callable[[], float]
    username: str | None = None
    password: str | None = None
    first_report_delay_s: float = 0.0
    refusals: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens and starts all cameras. Raises OSError if the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]
        for feed in self.feeds.values():
            self._spawn(feed.run())

    async def stop(self) -> None:
        """Closes all connections and stops all cameras."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed transports close their sockets in the next turn

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        connection = _Connection(self, reader, writer)
        try:
            await connection.run()
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.CancelledError,  # by stop(); asyncio would log it as an error
        ):
            pass
        finally:
            connection.close()


class _Connection:
    """One client's control connection and, once it plays, its stream."""

    def __init__(
        self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._nonce = secrets.token_hex(16)
        self._session = secrets.token_hex(8)
        self._feed: Feed | None = None
        self._channel = 0
        self._shots: asyncio.Queue[Shot] = asyncio.Queue()
        self._stream: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._feed is not None:
            self._feed.listeners.discard(self._on_shot)
        if self._stream is not None:
            self._stream.cancel()
        if self._writer.transport.get_write_buffer_size():
            # What waits for a client that does not read would keep the connection open.
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def run(self) -> None:
        while (request := await self._read_request()) is not None:
            keep = await self._answer(request)
            await self._writer.drain()
            if not keep:
                return

    async def _read_request(self) -> _Request | None:
        while True:
            first = await self._reader.read(1)
            if not first:
                return None
            if first != b"$":
                break
            # Receiver reports of the client, interleaved: read and forget.
            head = await self._reader.readexactly(3)
            await self._reader.readexactly(int.from_bytes(head[1:3], "big"))
        data = first + await self._reader.readuntil(b"\r\n\r\n")
        if len(data) > _MAX_HEADER_BYTES:
            return None
        lines = data.decode("utf-8", "replace").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        body = int(headers.get("content-length", "0") or 0)
        if body:
            await self._reader.readexactly(body)
        return _Request(method, rest.rpartition(" ")[0], headers)

    async def _answer(self, request: _Request) -> bool:
        feed = self._find_feed(request.url)
        if request.method == "OPTIONS":
            methods = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
            return self._reply(request, 200, {"Public": methods})
        if feed is not None and feed.fault is Fault.DISCONNECT:
            return False
        if not self._authorised(request, feed):
            challenge = f'Digest realm="{REALM}", nonce="{self._nonce}"'
            return self._reply(request, 401, {"WWW-Authenticate": challenge})
        if request.method == "GET_PARAMETER":
            return self._reply(request, 200, {"Session": self._session})
        if feed is None:
            return self._reply(request, 404)
        handlers = {
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "TEARDOWN": self._teardown,
        }
        handler = handlers.get(request.method)
        return handler(request, feed) if handler else self._reply(request, 501)

    def _find_feed(self, url: str) -> Feed | None:
        match = re.match(r"/Streaming/Channels/(\d+)(/|$)", urlsplit(url).path)
        return self._server.feeds.get(int(match[1])) if match else None

    def _authorised(self, request: _Request, feed: Feed | None) -> bool:
        if self._server.username is None:
            return True
        given = request.headers.get("authorization", "")
        if not given.startswith("Digest "):
            return False
        fields = dict(re.findall(r'(\w+)="([^"]*)"', given))
        # RFC 2617 section 3.2.2, without quality of protection, as cameras in the field do.
        ha1 = _md5(f"{self._server.username}:{REALM}:{self._server.password}")
        ha2 = _md5(f"{request.method}:{fields.get('uri', '')}")
        right = hmac.compare_digest(fields.get("response", ""), _md5(f"{ha1}:{self._nonce}:{ha2}"))
        refused = feed is not None and feed.fault is Fault.REFUSE_PASSWORD
        if right and not refused and fields.get("nonce") == self._nonce:
            return True
        self._server.refusals += 1
        return False

    def _describe(self, request: _Request, feed: Feed) -> bool:
        body = _session_description(feed.clip).encode()
        self._reply(
            request,
            200,
            {"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"},
            body,
        )
        return True

    def _setup(self, request: _Request, feed: Feed) -> bool:
        transport = request.headers.get("transport", "")
        if "RTP/AVP/TCP" not in transport:
            return self._reply(request, 461)
        match = re.search(r"interleaved=(\d+)-", transport)
        self._channel = int(match[1]) if match else 0
        self._feed = feed
        answer = f"RTP/AVP/TCP;unicast;interleaved={self._channel}-{self._channel + 1}"
        return self._reply(request, 200, {"Transport": answer, "Session": self._session})

    def _play(self, request: _Request, feed: Feed) -> bool:
        if self._feed is not feed:
            return self._reply(request, 455)
        self._reply(request, 200, {"Session": self._session, "Range": "npt=now-"})
        if self._stream is None:
            self._stream = asyncio.ensure_future(self._send(feed))
            feed.listeners.add(self._on_shot)
        return True

    def _teardown(self, request: _Request, feed: Feed) -> bool:
        feed.listeners.discard(self._on_shot)
        self._reply(request, 200, {"Session": self._session})
        return False

    def _on_shot(self, shot: Shot) -> None:
        # A client that does not read must not fill the memory: it is dropped.
        if self._shots.qsize() > _MAX_WAITING_SHOTS:
            self.close()
        else:
            self._shots.put_nowait(shot)

    async def _send(self, feed: Feed) -> None:
        packetizer = Packetizer(
            feed.spec.codec, self._channel, secrets.randbits(32), secrets.randbits(16)
        )
        base = secrets.randbits(32)
        now = self._server.now
        next_report = now() + self._server.first_report_delay_s
        with contextlib.suppress(ConnectionError):
            while feed.fault is not Fault.DISCONNECT:
                shot = await self._next_shot(next_report - now())
                if now() >= next_report:
                    next_report = now() + SENDER_REPORT_INTERVAL_S
                    if feed.fault is not Fault.NO_SENDER_REPORTS:
                        moment = now()
                        stamp = base + feed.timestamp(moment)
                        self._writer.write(
                            packetizer.sender_report(feed.camera_time(moment), stamp)
                        )
                if shot is not None:
                    await asyncio.sleep(max(0.0, shot.due - now()))
                    self._writer.write(packetizer.access_unit(shot.unit, base + shot.timestamp))
                await self._writer.drain()
            self._writer.close()

    async def _next_shot(self, timeout_s: float) -> Shot | None:
        try:
            async with asyncio.timeout(max(0.001, timeout_s)):
                return await self._shots.get()
        except TimeoutError:
            return None

    def _reply(
        self,
        request: _Request,
        status: int,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
    ) -> bool:
        reasons = {
            200: "OK",
            401: "Unauthorized",
            404: "Not Found",
            455: "Method Not Valid in This State",
            461: "Unsupported Transport",
            501: "Not Implemented",
        }
        lines = [f"RTSP/1.0 {status} {reasons[status]}", f"CSeq: {request.headers.get('cseq', 0)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        return True


def _session_description(clip: Clip) -> str:
    """SDP (RFC 4566) of a clip, with its parameter sets (RFC 6184 8.2.1, RFC 7798 7.1)."""
    encoded = [base64.b64encode(nal).decode() for nal in clip.parameter_sets]
    if clip.codec == "h264":
        profile = clip.parameter_sets[0][1:4].hex()
        name = "H264"
        parameters = (
            f"packetization-mode=1;profile-level-id={profile};"
            f"sprop-parameter-sets={','.join(encoded)}"
        )
    else:
        name = "H265"
        vps, sps, pps = encoded[:3]
        parameters = f"sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}"
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=Media Presentation",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {name}/90000",
        f"a=fmtp:{PAYLOAD_TYPE} {parameters}",
        f"a=framerate:{clip.fps}",
        "a=control:trackID=1",
    ]
    return "\r\n".join(lines) + "\r\n"


def _md5(text: str) -> str:
    # The digest of RFC 2617; cameras know no other.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
