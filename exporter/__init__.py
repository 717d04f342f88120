"""From a training checkpoint to a verified model bundle that a station can run."""
