"""What a camera's address may look like: it is shown to everybody, so it holds no password."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

# In queries (?user=a&password=b) and in paths (/user=a_password=b_channel=1) of cameras.
_SECRET: Final = re.compile(
    r"(^|[^a-z])(user|usr|username|login|account|p|pw|pwd|psw|pass|passwd|\w*password|passphrase"
    r"|\w*secret|\w*token|auth\w*|api_?key|key|credentials?)[=:]"
    r"|@",
    re.IGNORECASE,
)


def without_password(url: str) -> str:
    """The URL itself. Raises ValueError, which quotes nothing of it, if it is no RTSP URL, or
    holds a user name or password anywhere."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "rtsp" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Its text may quote a password that holds a slash.
        usable = False
    if not usable:
        raise ValueError(
            "must look like rtsp://HOST:554/Streaming/Channels/301, with a port of 1 to 65535"
        )
    rest = unquote(f"{parts.path}?{parts.query}#{parts.fragment}")
    if "@" in parts.netloc or _SECRET.search(rest):
        raise ValueError("must not hold a user name or password; use cameras.credentials")
    return url
