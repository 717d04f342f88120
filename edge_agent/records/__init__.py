"""What a station remembers: arrivals, gradings and their evidence, in SQLite and on disk."""
