"""May this user keep records in data_dir? Looks without creating, migrating or locking anything."""

from __future__ import annotations

import os
import pwd
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from alembic.config import Config
from alembic.script import ScriptDirectory


def fault(folder: Path) -> str | None:
    """What keeps this user from keeping records there, as one line; None if nothing does."""
    try:
        return _fault(folder)
    except OSError as error:
        return f"data_dir {folder}: {error.strerror} for user {_user()}; check the folders above it"


def _fault(folder: Path) -> str | None:
    if folder.is_dir():
        if not _may(folder, os.R_OK | os.W_OK | os.X_OK):
            return f"data_dir {folder}: user {_user()} cannot write there; {_cure(folder)}"
        return _database_fault(folder / "records.sqlite")
    if folder.exists():
        return f"data_dir {folder}: is not a folder; remove it or name another"
    parent = next(p for p in folder.parents if p.exists())
    if not _may(parent, os.W_OK | os.X_OK):
        return f"data_dir {folder}: user {_user()} cannot create it; create it and {_cure(folder)}"
    return None


def warning(folder: Path) -> str | None:
    """Says if the folder belongs to another user, who then is the one to run the agent."""
    try:
        owner = folder.stat().st_uid
    except OSError:
        return None
    if owner == os.geteuid():
        return None
    return (
        f"data_dir {folder}: belongs to user {_name(owner)}, but this is user {_user()}; "
        "run the agent and its check as the owner"
    )


def _database_fault(file: Path) -> str | None:
    if not file.exists():
        return None
    if not _may(file, os.R_OK | os.W_OK):
        return f"records {file}: user {_user()} cannot write it; {_cure(file)}"
    try:
        with closing(_opened(file)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master")}
            if not tables:
                return None
            rows = database.execute("select version_num from alembic_version").fetchall()
            damage = [text for (text,) in database.execute("pragma quick_check(1)") if text != "ok"]
    except sqlite3.Error as error:
        return f"records {file}: {error}; it is not the agent's database: move it away"
    if damage:
        return f"records {file}: damaged ({damage[0]}); restore a backup or move the file away"
    unknown = {revision for (revision,) in rows} - _known_revisions()
    if unknown or not rows:
        return f"records {file}: written by a newer agent; install that version again"
    return None


def active_model(folder: Path) -> str | None:
    """The digest of the pushed model that grades, as the records say; None where there is none."""
    file = folder / "records.sqlite"
    if not file.exists():
        return None
    try:
        with closing(_opened(file)) as database:
            statement = "select digest from model_roles where role = 'active'"
            return next((digest for (digest,) in database.execute(statement)), None)
    except sqlite3.Error:
        return None  # of a version without them, or broken: `fault` tells


def _opened(file: Path) -> sqlite3.Connection:
    # Reading a database in WAL mode creates its side files, unless nobody can change it.
    live = file.with_name(f"{file.name}-wal").exists()
    uri = f"file:{quote(str(file))}?mode=ro" + ("" if live else "&immutable=1")
    return sqlite3.connect(uri, uri=True, timeout=5.0)


def _known_revisions() -> set[str]:
    config = Config()
    config.set_main_option("script_location", "edge_agent.records:migrations")
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def _user() -> str:
    return _name(os.geteuid())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _cure(path: Path) -> str:
    return f"chown it to the agent's user: chown USER {path}"
