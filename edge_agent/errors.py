"""Every error the agent raises on purpose.

    AgentError
    ├── ConfigError          station.yaml cannot be used
    ├── BundleError          a model bundle does not fit or is broken
    ├── TooManyGuessesError  several passwords wait to be checked
    ├── UpdateError          a new model cannot be taken, or not be used
    │   ├── TrustError           what was delivered cannot be verified
    │   └── DeliveryError        what was delivered is broken, too large or too slow
    ├── CameraError          one camera gave no usable frame
    └── RecordError          the record store cannot be opened or written
        └── RecordConflictError   what was to be written contradicts what is there

The text of each says what failed, on what, and what to do about it. None holds a password.
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of all errors the agent raises on purpose; its text is fit to be shown to operators."""


class ConfigError(AgentError):
    """station.yaml is missing, not YAML, or does not describe a station."""


class BundleError(AgentError):
    """A model bundle is missing, broken, or made for another agent."""


class TooManyGuessesError(AgentError):
    """Several passwords wait to be checked already; try again in a few seconds."""

    def __init__(self) -> None:
        super().__init__("too many log-ins at once; try again in a few seconds")


class UpdateError(AgentError):
    """A model cannot be taken, activated or rolled back to."""


class TrustError(UpdateError):
    """Metadata or a bundle is not signed, stale, replayed, or not the one that was signed."""


class DeliveryError(UpdateError):
    """A delivery or a repository cannot be read: broken, too large, too slow, not there."""


class CameraError(AgentError):
    """One camera gave no usable frame. `reason` is a code from `edge_agent.reasons`."""

    def __init__(self, camera: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.camera = camera
        self.reason = reason


class RecordError(AgentError):
    """The record store cannot be opened, migrated or written."""


class RecordConflictError(RecordError):
    """An outcome for an arrival that is unknown or has one: trying again cannot help."""
