"""A model bundle and a decoded frame in, a grade with calibrated probabilities out."""
