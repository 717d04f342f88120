"""Masks that people drew, as annotation tools export them."""
