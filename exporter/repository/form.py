"""What metadata may say here, beyond what TUF asks: people read it before they sign.

Whoever has written into the repository's folder may have put anything there.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Key, Root, Signed, Targets

_TARGET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\.bundle")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def fault(signed: Signed) -> str | None:
    """What is wrong with it, in words; None where nothing is."""
    if isinstance(signed, Root):
        return _fault_of_root(signed)
    return _fault_of_targets(signed) if isinstance(signed, Targets) else None


def _fault_of_root(root: Root) -> str | None:
    """Key ids are what holders compare: each must be its own key's."""
    for keyid, key in root.keys.items():
        if keyid != _id_of(key):
            return f"key {_shown(keyid)} is not the key of that id, or no Ed25519 key"
    unknown = {k for role in root.roles.values() for k in role.keyids} - root.keys.keys()
    return f"key {_shown(min(unknown))} counts, and is not there" if unknown else None


def _id_of(key: Key) -> str | None:
    if key.keytype != "ed25519" or key.scheme != "ed25519":
        return None
    try:
        raw = bytes.fromhex(key.keyval["public"])
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw)).keyid
    except (KeyError, TypeError, ValueError):
        return None


def _fault_of_targets(targets: Targets) -> str | None:
    """Names and digests stand on the screen of who signs, and nothing but these."""
    if targets.delegations is not None:
        return "it delegates, which stations do not follow"
    for name, info in targets.targets.items():
        if not _TARGET.fullmatch(name):
            return f"{_shown(name)} is not called NAME-VERSION.bundle"
        if not _SHA256.fullmatch(info.hashes.get("sha256", "")):
            return f"{name} has no SHA-256"
    return None


def _shown(text: str) -> str:
    """Without what would steer a terminal."""
    return ascii(text[:80])
