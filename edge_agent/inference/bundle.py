"""Reading a model bundle: one zip file with manifest.json, model.onnx and golden/*.png.

A bundle may hold further members for people, as model-card.md; nothing is read from them.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError, Message
from pydantic import ValidationError

from edge_agent.errors import BundleError
from edge_agent.inference.manifest import Manifest

MAX_MEMBERS: Final = 80
MAX_MEMBER_BYTES: Final = 128 * 1024 * 1024
"""The largest network here, ResNet50V2 in 32 bits, has 94 MB."""
MAX_TOTAL_BYTES: Final = 192 * 1024 * 1024
ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx"})
"""Operator domains a model may use; custom operators could run anything."""

_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    NotImplementedError,  # a compression zipfile does not know
    RuntimeError,  # an encrypted member
    EOFError,
    # Sizes, offsets, dates and names in a damaged directory.
    OSError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest, digests and graph have been checked.

    digest: SHA-256 of the whole file, hexadecimal; it names the model in every record.
    model: the ONNX file's bytes.
    golden: images of manifest.golden in order, uint8 RGB, (height, width, 3).
    """

    path: Path
    digest: str
    manifest: Manifest
    model: bytes
    golden: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """Reads and checks a bundle.

        Raises BundleError with one line that names the file, the fault and the cure.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"model bundle {path}: {error.strerror or error}; "
                "give one made by cane-export (a station's is model.bundle in station.yaml)"
            ) from error
        try:
            members = _unpack(raw)
            manifest = Manifest.model_validate_json(members["manifest.json"])
            _check_model(members["model.onnx"], manifest)
            golden = tuple(_golden_image(members, g.path, manifest) for g in manifest.golden)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "manifest"
            raise BundleError(
                f"model bundle {path}: manifest.json: {where}: {first['msg']}; "
                "export it again with a matching cane-export"
            ) from error
        except KeyError as error:
            raise BundleError(
                f"model bundle {path}: {error.args[0]} is missing from it; export it again"
            ) from error
        except BundleError as error:
            raise BundleError(f"model bundle {path}: {error}; export it again") from error
        except _UNREADABLE as error:
            raise BundleError(
                f"model bundle {path}: not a readable zip file ({error}); copy or export it again"
            ) from error
        return cls(path, hashlib.sha256(raw).hexdigest(), manifest, members["model.onnx"], golden)


def golden_png(path: Path, name: str) -> bytes:
    """One golden image of a bundle that has been read before, as a PNG file.

    Raises BundleError if the bundle or the image is not there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except KeyError as error:
        raise BundleError(f"model bundle {path.name}: has no {name}") from error
    except _UNREADABLE as error:
        raise BundleError(f"model bundle {path.name}: is not on this station's disk") from error


def _unpack(raw: bytes) -> dict[str, bytes]:
    """All members by name, within the limits on count and size."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(i.file_size for i in infos) > MAX_TOTAL_BYTES:
            raise BundleError("more or larger members than a bundle may have")
        members: dict[str, bytes] = {}
        for info in infos:
            with archive.open(info) as member:
                data = member.read(MAX_MEMBER_BYTES + 1)
            if len(data) > MAX_MEMBER_BYTES:
                raise BundleError(f"{info.filename} is larger than {MAX_MEMBER_BYTES >> 20} MiB")
            members[info.filename] = data
    return members


def _check_model(model: bytes, manifest: Manifest) -> None:
    """Refuses a graph that is not the manifest's, or that could read files or run foreign code."""
    if hashlib.sha256(model).hexdigest() != manifest.model_sha256:
        raise BundleError("model.onnx is not the file its manifest names (SHA-256)")
    try:
        proto = onnx.load_model_from_string(model)
    except (DecodeError, ValueError) as error:
        raise BundleError(f"model.onnx is not an ONNX file ({error})") from error
    domains = {opset.domain for opset in proto.opset_import} - ALLOWED_DOMAINS
    foreign = sorted(domains) + [function.name for function in proto.functions]
    if foreign:
        raise BundleError(f"model.onnx uses operators outside ONNX ({', '.join(foreign)})")
    # onnxruntime reads external tensors from the working directory even for a model from bytes.
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise BundleError(f"tensor {tensor.name or '(unnamed)'} lies outside model.onnx")
    spec = manifest.input
    image = {spec.name: [spec.height, spec.width, 3]}
    outputs = {manifest.output_name: [len(manifest.labels)]}
    if manifest.level is not None:
        outputs[manifest.level.output_name] = [3]
    _check_io(proto.graph.input, image, onnx.TensorProto.UINT8, "input")
    _check_io(proto.graph.output, outputs, onnx.TensorProto.FLOAT, "output")


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Every tensor, wherever it is: initialisers, attributes, subgraphs, sparse tensors."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else (value,):
            yield from _tensors(part)


def _check_io(
    values: Sequence[onnx.ValueInfoProto],
    shapes: Mapping[str, list[int]],
    elem_type: int,
    what: str,
) -> None:
    """The graph has exactly these inputs or outputs, of that type and those shapes behind a free
    batch size."""
    if sorted(v.name for v in values) != sorted(shapes):
        names = ", ".join(v.name for v in values) or "none"
        raise BundleError(f"model.onnx must have the {what} {', '.join(shapes)}, has {names}")
    for value in values:
        tensor, shape = value.type.tensor_type, shapes[value.name]
        dims = [d.dim_value or d.dim_param or "?" for d in tensor.shape.dim]
        batch_is_free = bool(dims) and not isinstance(dims[0], int)
        if tensor.elem_type != elem_type or dims[1:] != shape or not batch_is_free:
            kind = onnx.TensorProto.DataType.Name
            raise BundleError(
                f"{what} {value.name} must be {kind(elem_type)} "
                f"[batch, {', '.join(map(str, shape))}], "
                f"is {kind(tensor.elem_type)} [{', '.join(map(str, dims))}]"
            )


def _golden_image(
    members: dict[str, bytes], name: str, manifest: Manifest
) -> npt.NDArray[np.uint8]:
    data = np.frombuffer(members[name], np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    size = (manifest.input.height, manifest.input.width, 3)
    if pixels is None or pixels.shape != size:
        raise BundleError(f"{name} is not a {size[1]} x {size[0]} PNG image")
    return np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.uint8)
