"""The service at one weighbridge station: cameras in, graded trucks out."""

__version__ = "0.1.0"
