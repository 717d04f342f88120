"""Reading YAML whose faults are told by their place only: a faulty line may hold a password."""

from __future__ import annotations

from typing import Any

import yaml


class YamlFileError(Exception):
    """What is wrong and where; quotes nothing of the text."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which lets the last of two equal keys win, with that refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in first:
                    raise YamlFileError(
                        f"{_place(key.start_mark)}: the same key as in "
                        f"{_place(first[key.value])}; keep one of them"
                    )
                first[key.value] = key.start_mark
        return super().construct_mapping(node, deep)


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def load(text: str) -> Any:
    """The document as plain Python values. Raises YamlFileError."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = _place(mark) if mark else "unknown line"
        # PyYAML's own text may quote an alias, a tag or the line itself.
        fault = f"{where}: not valid YAML; check indents, and quote values with : # % or {{"
        raise YamlFileError(fault) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        raise YamlFileError(
            f"line {line}, column {column}: a character that YAML does not allow; remove it"
        ) from None
