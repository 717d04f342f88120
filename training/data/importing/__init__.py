"""From foreign folders, tables and stations to a labelled folder with a manifest."""
