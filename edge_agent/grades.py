"""The five grades of a load, their hierarchy and their names: the vocabulary of every package."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Grade(StrEnum):
    """What lies on the truck. The order of the members is the order of class indices everywhere."""

    FRESH_CLEAN = "fresh_clean"
    FRESH_TRASH = "fresh_trash"
    BURN_CLEAN = "burn_clean"
    BURN_TRASH = "burn_trash"
    UNDEFINED = "undefined"

    @property
    def is_sugarcane(self) -> bool:
        """First level of the hierarchy: is there cane to grade at all?"""
        return self is not Grade.UNDEFINED

    @property
    def is_burnt(self) -> bool | None:
        """Second level: burnt before cutting. None for UNDEFINED."""
        return self in (Grade.BURN_CLEAN, Grade.BURN_TRASH) if self.is_sugarcane else None

    @property
    def has_trash(self) -> bool | None:
        """Third level: tops, leaves, sheaths or soil beyond the clean limit. None for UNDEFINED."""
        return self in (Grade.FRESH_TRASH, Grade.BURN_TRASH) if self.is_sugarcane else None

    @property
    def thai(self) -> str:
        """The Thai name used at the mills."""
        return _THAI[self]

    @classmethod
    def of(cls, *, burnt: bool, trash: bool) -> Grade:
        """The sugarcane grade with these two properties."""
        if burnt:
            return cls.BURN_TRASH if trash else cls.BURN_CLEAN
        return cls.FRESH_TRASH if trash else cls.FRESH_CLEAN


GRADES: Final[tuple[Grade, ...]] = tuple(Grade)
"""All grades in class-index order."""

_THAI: Final[dict[Grade, str]] = {
    Grade.FRESH_CLEAN: "อ้อยสดสะอาด",
    Grade.FRESH_TRASH: "อ้อยสดมีสิ่งเจือปน",
    Grade.BURN_CLEAN: "อ้อยไฟไหม้สะอาด",
    Grade.BURN_TRASH: "อ้อยไฟไหม้มีสิ่งเจือปน",
    Grade.UNDEFINED: "ไม่สามารถระบุได้",
}
