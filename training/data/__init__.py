"""Labelled images: the manifest, experts' votes, leak-free splits, pixels."""
