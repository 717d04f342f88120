"""Signing keys as files: Ed25519, PKCS#8 PEM for the secret, a PEM beside it for the public."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from exporter.errors import ExportError

PASSPHRASE_ENV: Final = "CANEGRADE_PASSPHRASE"  # noqa: S105 - a variable's name


def make(path: Path, passphrase: str | None) -> SSlibKey:
    """Makes a key pair: the secret at `path`, the public key at `path` with `.pub` added.

    Raises ExportError if one of the files is there already.
    """
    public_path = public_file(path)
    for file in (path, public_path):
        if file.exists():
            raise ExportError(f"{file}: is there already; a key is never written over")
    secret = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    public_pem = secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(pem)
        public_path.write_bytes(public_pem)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}; choose another place") from error
    return SSlibKey.from_crypto(secret.public_key())


def public_file(path: Path) -> Path:
    """Where the public key of a secret key's file lies."""
    return path.with_name(f"{path.name}.pub")


def public(path: Path) -> SSlibKey:
    """Reads a public key. Raises ExportError if the file holds none."""
    try:
        return SSlibKey.from_crypto(serialization.load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}; give a .pub file") from error
    except (ValueError, TypeError) as error:
        raise ExportError(f"{path}: is no public key in PEM; give a .pub file") from error


def signer(path: Path) -> CryptoSigner:
    """Reads a secret key; its passphrase is in the environment, as CANEGRADE_PASSPHRASE.

    Raises ExportError if the file holds none or the passphrase does not open it.
    """
    passphrase = os.environ.get(PASSPHRASE_ENV)
    try:
        data = path.read_bytes()
        try:
            secret = serialization.load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            if not passphrase:
                raise ExportError(f"{path}: needs its passphrase; set {PASSPHRASE_ENV}") from None
            secret = serialization.load_pem_private_key(data, passphrase.encode())
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}; give a key's file") from error
    except ValueError as error:
        raise ExportError(
            f"{path}: is no secret key in PEM, or the passphrase in {PASSPHRASE_ENV} is not its"
        ) from error
    if not isinstance(secret, Ed25519PrivateKey):
        raise ExportError(f"{path}: is no Ed25519 key; make one with cane-export repo key")
    return CryptoSigner(secret)
