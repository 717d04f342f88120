"""RTP packets of H.264 (RFC 6184) and H.265 (RFC 7798), interleaved in RTSP (RFC 2326 10.12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from simulator.video import AccessUnit, Codec

PAYLOAD_TYPE = 96
CLOCK_RATE = 90_000
MAX_PAYLOAD = 1400

_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix)."""


def fragments(nal: bytes, codec: Codec) -> Iterator[bytes]:
    """RTP payloads of one NAL unit: itself, or fragmentation units where it is too long.

    FU-A of RFC 6184 section 5.8; fragmentation units of RFC 7798 section 4.4.3.
    """
    if len(nal) <= MAX_PAYLOAD:
        yield nal
        return
    if codec == "h264":
        header, kind, start = bytes([nal[0] & 0xE0 | 28]), nal[0] & 0x1F, 1
    else:
        kind, start = nal[0] >> 1 & 0x3F, 2
        header = bytes([nal[0] & 0x81 | 49 << 1, nal[1]])
    step = MAX_PAYLOAD - len(header) - 1
    for offset in range(start, len(nal), step):
        first, last = offset == start, offset + step >= len(nal)
        yield header + bytes([first << 7 | last << 6 | kind]) + nal[offset : offset + step]


class Packetizer:
    """Numbers and stamps the packets of one stream to one client."""

    def __init__(self, codec: Codec, channel: int, ssrc: int, sequence: int) -> None:
        """channel: the interleaved channel of RTP; RTCP goes to channel + 1."""
        self._codec = codec
        self._channel = channel
        self._ssrc = ssrc
        self._sequence = sequence
        self._packets = 0
        self._octets = 0

    def access_unit(self, unit: AccessUnit, timestamp: int) -> bytes:
        """All packets of one picture, ready to be written; the last carries the marker bit."""
        payloads = [p for nal in unit.nals for p in fragments(nal, self._codec)]
        out = bytearray()
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            out += struct.pack(
                "!BBHBBHII",
                0x24,
                self._channel,
                12 + len(payload),
                0x80,
                marker | PAYLOAD_TYPE,
                self._sequence,
                timestamp & 0xFFFFFFFF,
                self._ssrc,
            )
            out += payload
            self._sequence = self._sequence + 1 & 0xFFFF
            self._octets += len(payload)
        self._packets += len(payloads)
        return bytes(out)

    def sender_report(self, unix_time: float, timestamp: int) -> bytes:
        """An RTCP sender report (RFC 3550 section 6.4.1): `timestamp` was taken at `unix_time`."""
        seconds = int(unix_time)
        fraction = int((unix_time - seconds) * (1 << 32))
        report = struct.pack(
            "!BBHIIIIII",
            0x80,
            200,
            6,
            self._ssrc,
            seconds + _NTP_EPOCH,
            fraction,
            timestamp & 0xFFFFFFFF,
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
        name = b"cane-sim"
        # Source description with a canonical name (RFC 3550 section 6.5), padded to 32 bits.
        item = bytes([1, len(name)]) + name
        item += b"\x00" * (4 - len(item) % 4)
        description = struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, self._ssrc) + item
        data = report + description
        return struct.pack("!BBH", 0x24, self._channel + 1, len(data)) + data
