"""`python -m exporter` is `cane-export`."""

from exporter.entry import main

if __name__ == "__main__":
    main()
