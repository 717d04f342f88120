"""What a study tells whoever waits for it."""

from __future__ import annotations

from typing import Protocol

from training.synthesis.run import Report as SynthesisReport
from training.train import Report as FitReport


class Report(FitReport, SynthesisReport, Protocol):
    """Of its trainings, and of the stages of its synthesis."""
