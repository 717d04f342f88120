"""`cane-export repo`: keep the signed repository that stations trust."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from tuf.api.metadata import Metadata

from exporter.check import check
from exporter.errors import ExportError
from exporter.repository import keys
from exporter.repository.store import OFFLINE, ONLINE, ModelRepository

app = typer.Typer(
    no_args_is_help=True,
    help="Keep the signed repository of bundles that stations trust (TUF).",
)

Repo = Annotated[Path, typer.Argument(metavar="REPO", help="The repository's folder.")]
Sign = Annotated[
    list[Path] | None,
    typer.Option(
        "--sign",
        help="Secret key that signs now; may be given several times. Others sign later, with "
        "cane-export repo sign.",
    ),
]


@app.command("key")
def key_command(
    path: Annotated[Path, typer.Argument(help="The secret key's file; FILE.pub is made beside.")],
) -> None:
    """Make a key pair. With CANEGRADE_PASSPHRASE set, the secret key is encrypted with it."""
    key = keys.make(path, os.environ.get(keys.PASSPHRASE_ENV))
    how = "encrypted" if os.environ.get(keys.PASSPHRASE_ENV) else "NOT encrypted"
    typer.echo(f"{path}: key {key.keyid[:16]}, {how}; hand out {keys.public_file(path)} only")


@app.command("init")
def init_command(
    repo: Repo,
    root_key: Annotated[list[Path], typer.Option(help="Public key of a holder of root.")],
    targets_key: Annotated[list[Path], typer.Option(help="Public key of who approves bundles.")],
    online_key: Annotated[Path, typer.Option(help="Public key of the machine that publishes.")],
    root_threshold: Annotated[int, typer.Option(help="So many must sign a new root.")] = 2,
    targets_threshold: Annotated[int, typer.Option(help="So many must approve a bundle.")] = 1,
    sign: Sign = None,
) -> None:
    """Begin a repository. Nothing is published before enough holders have signed."""
    made = ModelRepository.init(
        repo,
        [keys.public(path) for path in root_key],
        root_threshold,
        [keys.public(path) for path in targets_key],
        targets_threshold,
        keys.public(online_key),
        [keys.signer(path) for path in sign or []],
    )
    _tell(made)


@app.command("add")
def add_command(
    repo: Repo,
    bundle: Annotated[Path, typer.Argument(help="A bundle of cane-export bundle.")],
    sign: Sign = None,
) -> None:
    """Check a bundle and list it as NAME-VERSION.bundle."""
    manifest = check(bundle).bundle.manifest
    target = f"{manifest.name}-{manifest.version}.bundle"
    with _changed(repo, sign) as repository:
        info = repository.add(bundle, target, {"name": manifest.name, "version": manifest.version})
        typer.echo(f"{target}: {info.length} bytes, SHA-256 {info.hashes['sha256'][:16]}")


@app.command("revoke")
def revoke_command(
    repo: Repo,
    target: Annotated[str, typer.Argument(help="As listed: NAME-VERSION.bundle.")],
    sign: Sign = None,
) -> None:
    """Take a bundle off the list: stations that see it go back to an earlier model."""
    with _changed(repo, sign) as repository:
        repository.revoke(target)


@app.command("prolong")
def prolong_command(repo: Repo, sign: Sign = None) -> None:
    """Have root and list signed anew as they are, before they expire."""
    with _changed(repo, sign) as repository:
        repository.prolong()


@app.command("rotate-key")
def rotate_command(
    repo: Repo,
    role: Annotated[str, typer.Argument(help="root, targets or online.")],
    remove: Annotated[
        list[str] | None, typer.Option(help="Id of a key that no longer counts.")
    ] = None,
    add: Annotated[list[Path] | None, typer.Option(help="Public key that counts.")] = None,
    threshold: Annotated[int | None, typer.Option(help="So many must sign from now on.")] = None,
    sign: Sign = None,
) -> None:
    """Exchange keys. Enough holders of the root before and of the new one must sign."""
    if role not in (*OFFLINE, "online"):
        raise ExportError(f"role {role!r}: give root, targets or online")
    if not remove and not add and threshold is None:
        raise ExportError("nothing to do; give --remove, --add or --threshold")
    added = [keys.public(path) for path in add or []]
    with _changed(repo, sign) as repository:
        repository.rotate(role, remove or [], added, threshold)


@app.command("sign")
def sign_command(
    repo: Repo,
    sign: Annotated[list[Path], typer.Option("--sign", help="Secret key that signs.")],
    yes: Annotated[bool, typer.Option("--yes", help="You have read the changes before.")] = False,
) -> None:
    """Add your signature to what is pending, when you have read what it is."""
    signers = [keys.signer(path) for path in sign]
    with ModelRepository.locked(repo) as repository:
        pending = repository.read_pending()
        if _tell_changes(repository, pending) and not yes:
            typer.confirm("Sign these changes, all of them?", abort=True)
        repository.use(signers)
        signed = repository.sign(pending)
        if not signed:
            raise ExportError(
                f"{repo}: nothing is pending that these keys may sign; see cane-export repo status"
            )
        typer.echo(f"signed: {', '.join(signed)}")
        _tell_missing(repository)


@app.command("publish")
def publish_command(
    repo: Repo,
    online_key: Annotated[Path, typer.Option(help="Secret key of the machine that publishes.")],
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Until the new snapshot and timestamp expire; 30 by default."),
    ] = None,
    renew: Annotated[
        bool,
        typer.Option("--renew", help="Only renew what is published; what is pending stays so."),
    ] = False,
) -> None:
    """Publish what is signed; renew snapshot and timestamp. Run it before they expire, too."""
    signer = keys.signer(online_key)
    with ModelRepository.locked(repo) as repository:
        repository.use([signer])
        (repository.renew if renew else repository.publish)(days=days)
        until, role = repository.fresh_until
        count = len(repository.listed())
    typer.echo(f"{repo}: published, {count} bundles listed, fresh until {until:%Y-%m-%d}")
    if role in OFFLINE:
        typer.echo(
            f"{role} ends then: have it signed again, with cane-export repo prolong", err=True
        )


@app.command("status")
def status_command(repo: Repo) -> None:
    """What is listed, who must sign, when what expires, what is pending."""
    repository = ModelRepository.at(repo)
    now = datetime.now(UTC)
    root = repository.root()
    for role in (*OFFLINE, *ONLINE):
        signed = repository.open(role).signed
        if signed.version:
            held = root.roles[role]
            ids = ", ".join(keyid[:16] for keyid in held.keyids)
            expired = "EXPIRED " if signed.is_expired(now) else "expires "
            typer.echo(
                f"{role:9} version {signed.version}, {expired}{signed.expires:%Y-%m-%d}, "
                f"{held.threshold} of {len(held.keyids)} keys: {ids}"
            )
    for target, info in sorted(repository.listed().items()):
        typer.echo(f"{target}: {info.length} bytes, SHA-256 {info.hashes['sha256'][:16]}")
    _tell(repository)


@contextmanager
def _changed(repo: Path, sign: Sequence[Path] | None) -> Iterator[ModelRepository]:
    """For one change, which these keys sign as it is made: nothing else, whoever has put it there.

    Raises ExportError, before anything is changed, for a key that cannot be read, and where a
    change lacks signatures already: who signs has to read it first.
    """
    signers = [keys.signer(path) for path in sign or []]
    with ModelRepository.locked(repo) as repository:
        if signers and repository.missing():
            raise ExportError(
                f"{repo}: a change waits for signatures already, which --sign would sign unread; "
                "publish it first, or leave --sign out and sign all with cane-export repo sign"
            )
        repository.use(signers)
        yield repository
        _tell(repository)


def _tell(repository: ModelRepository) -> None:
    _tell_changes(repository)
    _tell_missing(repository)


def _tell_missing(repository: ModelRepository) -> None:
    missing = repository.missing()
    for lack in missing:
        typer.echo(
            f"pending: {lack.role} version {lack.version}, signed by {len(lack.signed_by)} of "
            f"{lack.threshold} keys"
        )
    if not missing and any(repository.pending.glob("*.json")):
        typer.echo("pending and signed by enough: cane-export repo publish makes it known")


def _tell_changes(
    repository: ModelRepository, pending: Mapping[str, Metadata[Any]] | None = None
) -> bool:
    """Says what a signature would mean. Returns whether there is anything."""
    changes = repository.changes(pending)
    for change in changes:
        typer.echo(f"change: {change}")
    return bool(changes)
