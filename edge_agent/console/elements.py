"""Plain HTML elements for NiceGUI pages, and regions that are rebuilt only when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

Shown = TypeVar("Shown")


def tag(name: str, text: str | None = None, /, classes: str = "", **attributes: object) -> Element:
    """An HTML element; its text is escaped.

    Underscores in attribute names become hyphens; False and None leave an attribute out. As in
    HTML, the value of an input is what it starts with.
    """
    element = Element(name) if text is None else TextElement(tag=name, text=text)
    if classes:
        element.classes(classes)
    for key, value in attributes.items():
        if value is not None and value is not False:
            # Vue sets `value` anew whenever anything on the page changes, and what a person has
            # typed by then is gone.
            is_start = name == "input" and key == "value"
            element.props["defaultValue" if is_start else key.replace("_", "-")] = value
    return element


def icon(name: str, classes: str = "") -> Element:
    """A Material icon; decoration only, so screen readers skip it."""
    return tag("i", name, f"material-icons notranslate {classes}", aria_hidden="true")


class Region(Generic[Shown]):
    """A part of a page that is rebuilt when, and only when, what it shows has changed.

    Pages poll; without this every poll would redraw pictures and lose the reader's place.
    """

    def __init__(
        self, build: Callable[[Shown], None], classes: str = "", name: str = "div"
    ) -> None:
        self._build = build
        self._box = tag(name, classes=classes)
        self._shown: list[Shown] = []

    def show(self, value: Shown) -> None:
        """Shows that value."""
        if self._shown == [value]:
            return
        self._shown = [value]
        self._box.clear()
        with self._box:
            self._build(value)
