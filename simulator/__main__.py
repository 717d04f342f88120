"""`python -m simulator` is `cane-sim`."""

from simulator.cli import app

if __name__ == "__main__":
    app()
