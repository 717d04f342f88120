"""Every error training raises on purpose.

    TrainingError
    ├── DataError          a manifest, its labels, splits or images cannot be used
    ├── WeightsError       a file of weights is missing, broken or made for another network
    ├── RunError           a run folder does not fit what is asked of it, or a run cannot go on
    │   └── BusyError      another command was at work there until time was up
    └── ElsewhereError     the main process has failed and says why; this one only ends

The text of each is one line: what failed, on what, and what to do about it.
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of all errors training raises on purpose."""


class DataError(TrainingError):
    """A manifest, its labels, its splits or its images cannot be used."""


class WeightsError(TrainingError):
    """A file of weights is missing, broken or made for another network."""


class RunError(TrainingError):
    """A run folder does not fit what is asked of it, or a run cannot go on."""


class BusyError(RunError):
    """Another command was at work on the same until time was up."""


class ElsewhereError(TrainingError):
    """The main process has failed and says why; this one only ends."""
