"""Cameras of one's own for the virtual station, from a YAML or JSON file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulator.feed import CameraSpec
from simulator.station import STANDARD_CAMERAS, UNIFORM_CAMERAS
from simulator.video import Codec


class _Camera(BaseModel):
    """What may be set of a camera; the fields are those of CameraSpec.

    Latency and jitter together are bounded because the server drops a client for whom 250
    pictures wait, the clock because sender reports count seconds in 32 bits.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    codec: Codec = "h264"
    # Encoders want the frame rate as a fraction of small whole numbers.
    fps: float = Field(default=25.0, ge=1, le=30, multiple_of=0.25)
    gop: int = Field(default=50, ge=1, le=250)
    latency_ms: float = Field(default=0.0, ge=0, le=5_000)
    jitter_ms: float = Field(default=0.0, ge=0, le=500)
    clock_offset_ms: float = Field(default=0.0, ge=-86_400_000, le=86_400_000)
    phase_ms: float = Field(default=0.0, ge=0, le=1_000)


_FAULTS: Final = {
    "extra_forbidden": f"no such setting, only {', '.join(_Camera.model_fields)}",
    "dict_type": "must be settings by camera, such as C301: {gop: 25}",
    "model_type": "must be settings, such as {gop: 25}",
}
"""What pydantic says in words that tell nobody what to write."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which lets the last of two equal keys win, with that refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key} is given twice")
        return super().construct_mapping(node, deep)


def cameras_named(name: str) -> tuple[CameraSpec, ...]:
    """The cameras of `--cameras`: standard, uniform, or those of a file.

    Raises ValueError with one line that names the file, the camera, the setting and the fault.
    """
    known = {"standard": STANDARD_CAMERAS, "uniform": UNIFORM_CAMERAS}
    return known[name] if name in known else read_cameras(Path(name))


def read_cameras(path: Path) -> tuple[CameraSpec, ...]:
    """The standard cameras with what the file changes: settings by camera.

    Raises ValueError as `cameras_named` does.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ValueError(
            f"cameras {path}: {error.strerror}; give standard, uniform or a YAML file"
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cameras {path}: {' '.join(str(error).split())}") from None
    try:
        changes = TypeAdapter(dict[str, _Camera]).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "".join(f" {part}:" for part in first["loc"])
        fault = _FAULTS.get(first["type"], first["msg"])
        raise ValueError(f"cameras {path}:{where} {fault}") from None
    names = [spec.camera for spec in STANDARD_CAMERAS]
    for camera in changes:
        if camera not in names:
            raise ValueError(f"cameras {path}: {camera}: no such camera, only {', '.join(names)}")
    return tuple(
        replace(spec, **changes[spec.camera].model_dump(exclude_unset=True))
        if spec.camera in changes
        else spec
        for spec in STANDARD_CAMERAS
    )
