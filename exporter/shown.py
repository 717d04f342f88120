"""What `cane-export push` shows on a terminal: bytes on their way, and a table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from exporter.fleet import State, StationResult

_COLOURS: Final[dict[State, str]] = {"done": "green", "failed": "red", "waiting": "yellow"}


@contextmanager
def progress_bar(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on stderr; yields what is to be called with each chunk's size."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=size)
        yield lambda count: bar.advance(task, count)


def show_results(results: Sequence[StationResult]) -> None:
    """A row a station."""
    table = Table("station", "wave", "state", "detail")
    for result in results:
        colour = _COLOURS[result.state]
        table.add_row(
            result.station.name,
            str(result.station.wave),
            f"[{colour}]{result.state}[/{colour}]",
            escape(result.detail),
        )
    Console().print(table)
