"""Comparisons of whole training recipes on one dataset."""
