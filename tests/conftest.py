"""Lets tests import the helpers beside this file: pytest puts a conftest's folder on the path."""
