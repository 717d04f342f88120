"""Other names of grades, mapped on to the five."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.grades import GRADES, Grade
from training.errors import DataError


@dataclass(frozen=True)
class ClassMap:
    """Which grade a foreign class name becomes; None for classes to be left out.

    Names of grades stand for themselves unless the map says otherwise.
    """

    names: Mapping[str, Grade | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, options: Sequence[str]) -> ClassMap:
        """From texts like "Burned=burn_clean", or "Blurred=" to leave a class out.

        Raises DataError for another form, an unknown grade or a name given twice.
        """
        names: dict[str, Grade | None] = {}
        for option in options:
            name, equals, grade = (part.strip() for part in option.rpartition("="))
            if not equals or not name:
                raise DataError(f"--class-map {option!r}: write it as NAME=GRADE, or NAME=")
            if grade and grade not in GRADES:
                raise DataError(
                    f"--class-map {option!r}: {grade!r} is no grade; use one of {', '.join(GRADES)}"
                )
            if name in names:
                raise DataError(f"--class-map names {name!r} twice; keep one")
            names[name] = Grade(grade) if grade else None
        return cls(names)

    def __contains__(self, name: str) -> bool:
        return name in self.names or name in GRADES

    def grade(self, name: str) -> Grade | None:
        """The grade of a class name, None if it is to be left out. Raises KeyError if unknown."""
        if name in self.names:
            return self.names[name]
        if name in GRADES:
            return Grade(name)
        raise KeyError(name)

    def require(self, names: Sequence[str], where: str) -> None:
        """Raises DataError that lists names that are no grade and not in the map."""
        unknown = sorted({name for name in names if name not in self})
        if unknown:
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise DataError(
                f"{where}: {', '.join(unknown[:10])}{more}: no grades; map each to one of "
                f"{', '.join(GRADES)} with --class-map NAME=GRADE, or leave it out with NAME="
            )

    def described(self, used: Iterable[str]) -> dict[str, Grade]:
        """What dataset.json tells of classes by these names: {} where all are grades' own.

        Every foreign name that became a grade. Where grades' own names are used beside them, these
        are the five grades, and all are named: one without an image is then missed.
        """
        foreign = {name: grade for name, grade in self.names.items() if grade and name != grade}
        if not foreign or not any(name in GRADES and self.grade(name) == name for name in used):
            return foreign
        own = (grade for grade in GRADES if grade not in foreign.values())
        return foreign | {grade.value: grade for grade in own}
