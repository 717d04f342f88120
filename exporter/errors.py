"""Every error the exporter raises on purpose.

    ExportError          a bundle cannot be made, or fails one of its checks

The text is one line: what failed, on what, and what to do about it.
"""

from __future__ import annotations


class ExportError(Exception):
    """A bundle cannot be made, or fails one of its checks."""
