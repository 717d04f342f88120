"""One of two processes that draw a synthesis: `drawn_by_two.py DATA OUT CONFIG`. Their clocks do
not agree, and it is the first one's that counts."""

from __future__ import annotations

import sys
from pathlib import Path

import thumbnails

from training import baselines, parallel
from training.console import RichReport
from training.synthesis.config import SynthesisConfig
from training.synthesis.pipeline import synthesize


def main(data: Path, out: Path, config: SynthesisConfig) -> None:
    baselines.frozen_features = thumbnails.features
    assert parallel.processes() == 2
    first = parallel.is_main()
    report = RichReport(quiet=True)
    # Time is up for the first one alone: both stop. For the second one alone: both go on.
    now, later = 0.0, 3600.0
    assert synthesize(data, out, config, report, max_seconds=now if first else later) is None
    made = synthesize(data, out, config, report, max_seconds=later if first else now)
    assert (made is not None) is first
    parallel.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), SynthesisConfig.model_validate_json(sys.argv[3]))
