"""How the command line talks: one line an error, progress bars on stderr, results on stdout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from edge_agent.grades import GRADES, Grade
from training.errors import DataError, ElsewhereError, TrainingError
from training.progress import EpochRecord

_ANYWHERE: Final[tuple[type[Exception], ...]] = (typer.BadParameter, ValidationError, OSError)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


class OneLineErrors(TyperGroup):
    """A command group whose expected errors end in one line on stderr and exit code 2.

    Beside its package's own errors: option values that cannot be, and files and folders that
    cannot be read or written.
    """

    expected: ClassVar[tuple[type[Exception], ...]] = (TrainingError,)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # nobody reads any more: typer ends without a word
        except ElsewhereError as error:
            raise typer.Exit(2) from error
        except self.expected + _ANYWHERE as error:
            typer.echo(f"{ctx.info_name}: {_one_line(error)}", err=True)
            raise typer.Exit(2) from error


def _one_line(error: Exception) -> str:
    """What failed, on what, and what to do."""
    if isinstance(error, typer.BadParameter):
        told = error.message if error.param is None else error.format_message()
        return f"{told.rstrip('.')}; --help lists what can be given"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        if not first["loc"]:
            return f"{error.title}: {first['msg']}"
        option = str(first["loc"][0]).replace("_", "-")
        return f"--{option} {first['input']!r}: {first['msg']}; give another value"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; give another path"
    return str(error)


class RichReport(AbstractContextManager["RichReport"]):
    """Progress on stderr, as bars on a terminal and as a line an epoch elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._steps: TaskID | None = None
        self._what = ""
        self._done = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def loading(self, what: str, count: int) -> Callable[[], None]:
        """A bar for reading `count` images."""
        task = self._progress.add_task(f"reading {what}", total=count)
        left = count

        def tick() -> None:
            nonlocal left
            left -= 1
            self._progress.advance(task)
            if left <= 0:  # bars that stay push those that move off the terminal
                self._progress.update(task, visible=False)

        return tick

    def say(self, text: str) -> None:
        """A line for people."""
        self._console.print(text, markup=False)

    def begin(self, what: str) -> None:
        """The steps that follow are those of `what`, with a bar, or some lines, of their own."""
        if self._steps is not None:
            self._progress.update(self._steps, visible=False)
        self._what, self._steps = f"{what}: ", None

    def step(self, done: int, total: int, loss: float) -> None:
        """Moves the bar that counts all steps of the run."""
        if self._steps is None:
            self._steps = self._progress.add_task("", total=total)
        self._progress.update(
            self._steps, completed=done, description=f"{self._what}loss {loss:.3f}"
        )
        self._done = f"step {done} of {total}"
        if self._what and self._progress.disable and done % max(1, total // 10) == 0:
            self.say(f"{self._what}{self._done}, loss {loss:.4f}")

    def epoch(self, record: EpochRecord) -> None:
        """A line for each epoch."""
        self.say(
            f"epoch {record.epoch + 1}, {self._done}: loss {record.train_loss:.4f}, "
            f"validation loss {record.val_loss:.4f}, accuracy {record.val_accuracy:.4f}, "
            f"{record.seconds:.0f} s"
        )


def seconds(text: str) -> float:
    """A duration such as 90, 90s, 25m or 1h30m, in seconds. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write it like 90s, 25m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + rest)


def grade_shares(option: str, given: Sequence[str]) -> dict[Grade, float]:
    """Values such as burn_trash=0.4 of an option. Raises DataError for anything else."""
    shares: dict[Grade, float] = {}
    for value in given:
        name, _, share = value.partition("=")
        try:
            grade, found = Grade(name), float(share)
        except ValueError as error:
            raise DataError(
                f"{option} {value!r}: write GRADE=SHARE, such as burn_trash=0.4, with a grade "
                f"among {', '.join(GRADES)}"
            ) from error
        if grade in shares:
            raise DataError(f"{option} {value!r}: names {grade} a second time; leave one out")
        shares[grade] = found
    return shares


def choice(option: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, where it is one of the choices. Raises typer.BadParameter."""
    if value not in choices:
        raise typer.BadParameter(f"{option} is {value!r}; choose one of {', '.join(choices)}")
    return value
