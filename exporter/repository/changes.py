"""What a signature would mean, in words: how pending metadata differs from what is published."""

from __future__ import annotations

from collections.abc import Mapping

from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp


def of_root(old: Root | None, new: Root) -> list[str]:
    """Which keys count, and how many of them must sign. old: None before the first."""
    found = []
    for role in (Root.type, Targets.type, Snapshot.type, Timestamp.type):
        now = new.roles[role]
        before = old.roles[role] if old else None
        kept = before.keyids if before else []
        found += [f"{role}: key {k[:16]} counts" for k in now.keyids if k not in kept]
        gone = [k for k in kept if k not in now.keyids]
        found += [f"{role}: key {k[:16]} counts no more" for k in gone]
        if before is None or before.threshold != now.threshold:
            found.append(f"{role}: {now.threshold} must sign")
    return [*found, f"root: good until {new.expires:%Y-%m-%d}"]


def of_targets(listed: Mapping[str, TargetFile], new: Targets) -> list[str]:
    """Which bundles may grade. listed: those that are published."""
    found = [
        f"{target} may grade, SHA-256 {info.hashes['sha256']}"
        for target, info in sorted(new.targets.items())
        if target not in listed or listed[target].hashes != info.hashes
    ]
    gone = sorted(listed.keys() - new.targets.keys())
    found += [f"{target} may grade no more" for target in gone]
    return [*found, f"targets: good until {new.expires:%Y-%m-%d}"]
