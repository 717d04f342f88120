"""Reading images: one size, RGB, and a reason for each that is left out."""

from __future__ import annotations

import io
import re
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_agent.inference.manifest import GradedArea
from training.data import fingerprints, images
from training.data.images import MIN_SIDE, Skip, decode, examine, in_pixels, load, read
from training.data.quiet import Quiet
from training.data.room import Room
from training.errors import DataError


def test_area_resize_and_channel_order(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (128, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png", 32)
    assert isinstance(found, np.ndarray)
    assert (found == cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA)).all()


def test_an_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png", 32)
    assert isinstance(found, np.ndarray)
    assert (found == pixels).all()


def test_every_bad_image_is_skipped_with_its_reason(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-400])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(noise).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    names = ["cut.png", "text.png", "good.png", "empty.png", "cmyk.jpg", "deep.png", "none.png"]
    names += ["cut.jpg", "folder.png"]
    seen: list[None] = []
    images, kept, skips = load(
        [tmp_path / name for name in names], 32, on_image=lambda: seen.append(None)
    )
    assert images.shape == (1, 32, 32, 3)
    assert kept == [2]
    assert len(seen) == len(names)
    reasons = {skip.path.name: skip.reason for skip in skips}
    assert set(reasons) == set(names) - {"good.png"}
    assert reasons["cut.png"] == reasons["cut.jpg"] == "truncated"
    assert reasons["folder.png"] == "unreadable (Is a directory)"
    assert reasons["text.png"] == reasons["empty.png"]
    assert reasons["text.png"].startswith("not an image in a format that is read (JPEG, PNG,")
    assert "CMYK" in reasons["cmyk.jpg"]
    assert "16 or more bits" in reasons["deep.png"]
    assert reasons["none.png"] == "no such file"


def planar_tiff(planes: np.ndarray) -> bytes:
    """16-bit RGB (3, height, width) with a strip for each colour (TIFF 6.0, PlanarConfiguration 2),
    which no library at hand writes."""
    _, height, width = planes.shape
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 3, 14), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 3, 26), (284, 3, 1, 2)]
    strips = [38 + i * 2 * height * width for i in range(3)]
    body = struct.pack("<3H", 16, 16, 16) + struct.pack("<3I", *strips)
    body += struct.pack("<3I", *[2 * height * width] * 3) + planes.tobytes()
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return head + body + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises more than its data holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("side", "says"),
    [
        (8001, "has 8001 x 8001 pixels, more than 64000000"),
        (10000, "has 10000 x 10000 pixels, more than 64000000"),  # of which Pillow would warn
        (20000, "has more than 64000000 pixels"),  # which Pillow refuses to open
    ],
)
def test_huge_images_are_not_decoded(tmp_path: Path, side: int, says: str) -> None:
    (tmp_path / "a.png").write_bytes(png_of(side, side))
    found = read(tmp_path / "a.png", 32)
    assert isinstance(found, Skip)
    assert found.reason == says


def test_damage_that_trips_pillow_itself_is_a_reason(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(32, 32, 3)).save(buffer, "TIFF")
    tiff = bytearray(buffer.getvalue())
    first = struct.unpack("<I", tiff[4:8])[0] + 2
    entries = range(first, first + 12 * struct.unpack("<H", tiff[first - 2 : first])[0], 12)
    offsets = next(at for at in entries if struct.unpack("<H", tiff[at : at + 2])[0] == 273)
    tiff[offsets + 2 : offsets + 4] = struct.pack("<H", 2)  # StripOffsets as text
    (tmp_path / "a.tif").write_bytes(tiff)
    found = decode(tmp_path / "a.tif")
    assert found == Skip(tmp_path / "a.tif", "damaged (TypeError)")


def test_no_exception_of_a_use_gets_past_the_one_that_opens(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.png")

    def fails(_: Image.Image) -> int:
        raise RuntimeError("a decoder's own")

    assert examine(tmp_path / "a.png", fails) == Skip(tmp_path / "a.png", "damaged (RuntimeError)")
    assert examine(tmp_path / "a.png", lambda file: file.width) == 8


def test_warnings_stay_away_until_the_last_thread_has_left() -> None:
    quiet = Quiet()
    before = list(warnings.filters)
    quiet.__enter__()
    quiet.__enter__()
    quiet.__exit__(None, None, None)  # the first one leaves; the other is still reading
    warnings.warn("would be an error here", stacklevel=1)
    quiet.__exit__(None, None, None)
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"subsampling": 0}, id="baseline"),
        pytest.param({"subsampling": 2, "restart_marker_blocks": 8}, id="restarts"),
        pytest.param({"subsampling": 2, "progressive": True}, id="progressive"),
    ],
)
def test_a_jpeg_that_ends_too_early_is_truncated_despite_its_end_marker(
    tmp_path: Path, mode: str, options: dict[str, int]
) -> None:
    file = tmp_path / "a.jpg"
    # The lower half is what libjpeg would fill in, so that colours alone cannot tell.
    pixels = np.vstack([noise(96, 160, 3), np.full((96, 160, 3), 128, np.uint8)])
    Image.fromarray(pixels).convert(mode).save(file, **options)
    whole = file.read_bytes()
    assert isinstance(decode(file), np.ndarray)
    start = whole.index(b"\xff\xda") + 14
    ends = [start + int(share * (len(whole) - start)) for share in (0.02, 0.3, 0.6, 0.9)]
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
    ends += restarts[3:6]  # between two intervals, where the decoder waits for a marker
    for end in ends:
        cut = whole[:end].removesuffix(b"\xff")
        file.write_bytes(cut + b"\xff\xd9")
        found = decode(file)
        assert isinstance(found, Skip), end
        # Pillow itself finds it where a progressive one is cut within its tables.
        assert found.reason == "truncated" or "broken data stream" in found.reason, end
        file.write_bytes(cut)
        assert isinstance(decode(file), Skip), end


def test_two_pictures_in_a_jpeg_are_the_first_and_it_may_be_cut(tmp_path: Path) -> None:
    first = Image.fromarray(noise(64, 64, 3))
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[first.resize((32, 32))])
    assert isinstance(decode(tmp_path / "a.mpo"), np.ndarray)
    content = (tmp_path / "a.mpo").read_bytes()
    end = content.index(b"\xff\xd9\xff\xd8")
    (tmp_path / "a.mpo").write_bytes(content[: end // 2] + content[end:])
    assert decode(tmp_path / "a.mpo") == Skip(tmp_path / "a.mpo", "truncated")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    pixels = noise(40, 60, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    found = decode(tmp_path / "a.png")
    assert isinstance(found, np.ndarray)
    assert (found == np.rot90(pixels, -1)).all()


def test_grey_palette_and_opaque_images_become_rgb(tmp_path: Path) -> None:
    grey = noise(32, 32)
    opaque = np.dstack([noise(32, 32, 3), np.full((32, 32), 255, np.uint8)])
    few_colours = Image.fromarray(noise(32, 32, 3)).quantize(16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    few_colours.save(tmp_path / "palette.png")
    few_colours.save(tmp_path / "palette.gif")
    expected = {
        "grey.png": np.dstack([grey] * 3),
        "opaque.png": opaque[:, :, :3],
        "palette.png": np.asarray(few_colours.convert("RGB")),
        "palette.gif": np.asarray(few_colours.convert("RGB")),
    }
    for name, pixels in expected.items():
        found = decode(tmp_path / name)
        assert isinstance(found, np.ndarray), name
        assert (found == pixels).all(), name


def test_what_has_no_single_right_conversion_is_skipped(tmp_path: Path) -> None:
    holes = np.dstack([noise(32, 32, 3), noise(32, 32)])
    Image.fromarray(holes).save(tmp_path / "holes.png")
    Image.fromarray(holes).quantize(16).save(tmp_path / "palette holes.png")
    cv2.imwrite(str(tmp_path / "deep.png"), noise(32, 32, 3).astype(np.uint16) * 256)
    cv2.imwrite(str(tmp_path / "deep.tif"), noise(32, 32, 3).astype(np.uint16) * 256)
    (tmp_path / "deep planes.tif").write_bytes(planar_tiff(noise(3, 32, 32).astype("<u2") * 256))
    Image.fromarray(np.zeros((32, 32), np.float32)).save(tmp_path / "float.tif")
    frames = [Image.fromarray(noise(32, 32, 3) // k) for k in (1, 2)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    # Pillow would make 8 bits of these without a word.
    (tmp_path / "deep.ppm").write_bytes(b"P6 8 8 65535\n" + noise(8, 8, 6).tobytes())
    cv2.imwrite(str(tmp_path / "deep.jp2"), noise(32, 32, 3).astype(np.uint16) * 256)
    expected = {
        "holes.png": "transparent",
        "palette holes.png": "transparent",
        "deep.png": "16 or more bits",
        "deep.tif": "16 or more bits",
        "deep planes.tif": "16 or more bits",
        "float.tif": "colour mode F",
        "film.gif": "more than one picture",
        "deep.ppm": "not an image in a format that is read",
        "deep.jp2": "not an image in a format that is read",
    }
    for name, reason in expected.items():
        found = decode(tmp_path / name)
        assert isinstance(found, Skip), name
        assert reason in found.reason, found


@given(
    st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0.6, 1), st.floats(0.6, 1)),
    st.integers(16, 4000),
    st.integers(16, 4000),
)
def test_the_graded_area_is_cut_as_the_agent_cuts_it(
    area: tuple[float, float, float, float], width: int, height: int
) -> None:
    left, top, right, bottom = area
    agent = GradedArea(left=left, top=top, right=right, bottom=bottom)
    assert in_pixels(area, width, height) == agent.pixels(width, height)


def test_a_whole_frame_is_cut_before_it_is_resized(tmp_path: Path) -> None:
    pixels = noise(100, 80, 3)
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    found = read(tmp_path / "frame.png", 32, (0.0, 0.04, 1.0, 0.96))
    assert isinstance(found, np.ndarray)
    expected = cv2.resize(pixels[4:96], (32, 32), interpolation=cv2.INTER_AREA)
    assert (found == expected).all()


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((1, 1), None),
        ((3, 5000), None),
        ((MIN_SIDE, MIN_SIDE - 1), None),
        ((100, 100), (0.0, 0.0, 1.0, 0.1)),
    ],
)
def test_what_is_too_small_to_show_anything_is_skipped(
    tmp_path: Path, shape: tuple[int, int], cut: tuple[float, float, float, float] | None
) -> None:
    Image.fromarray(noise(*shape, 3)).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png", 32, cut)
    assert isinstance(found, Skip)
    assert found.reason.endswith("a side is shorter than 16 px")
    Image.fromarray(noise(MIN_SIDE, MIN_SIDE, 3)).save(tmp_path / "a.png")
    assert isinstance(read(tmp_path / "a.png", 32), np.ndarray)


@pytest.mark.parametrize("large", [4, 9, 20])
@pytest.mark.parametrize("reading", ["load", "take"])
def test_threads_have_no_more_pixels_in_hand_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: str, large: int
) -> None:
    sides = [20 * large if k % 3 == 1 else 20 for k in range(12)]
    paths = [tmp_path / f"{k}.png" for k in range(len(sides))]
    for path, side in zip(paths, sides, strict=True):
        Image.fromarray(noise(side, side, 3)).save(path)
    room = max(sides) ** 2
    in_hand, seen, lock = 0, [], threading.Lock()

    def counted(path: Path, file: Image.Image) -> object:
        nonlocal in_hand
        with lock:
            in_hand += file.width * file.height
            seen.append(in_hand)
        time.sleep(0.01)
        try:
            return rgb(path, file)
        finally:
            with lock:
                in_hand -= file.width * file.height

    rgb = images._rgb
    monkeypatch.setattr(images, "_rgb", counted)
    monkeypatch.setattr(images, "_ROOM", Room(room))
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 6)
    if reading == "load":
        assert load(paths, 32)[1] == list(range(12))
    else:
        assert not any(isinstance(one, Skip) for one in fingerprints.take(paths))
    assert max(seen) == room  # the large ones one at a time
    assert any(400 < pixels < room for pixels in seen)  # and the small ones together


def test_as_many_threads_decode_as_threads_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(8)]
    for path in paths:
        Image.fromarray(noise(20, 20, 3)).save(path)
    seen: set[int] = set()
    rgb = images._rgb

    def spied(path: Path, file: Image.Image) -> object:
        seen.add(threading.get_ident())
        time.sleep(0.01)
        return rgb(path, file)

    monkeypatch.setattr(images, "_rgb", spied)
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 1)  # as --threads 1 makes it
    load(paths, 32)
    fingerprints.take(paths)
    assert len(seen) <= 2


def test_a_broken_image_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(png_of(64, 64))
    monkeypatch.setattr(images, "_ROOM", Room(64 * 64))
    assert [decode(tmp_path / "a.png") for _ in range(2)] == [
        Skip(tmp_path / "a.png", "truncated")
    ] * 2


def test_more_than_the_free_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    with pytest.raises(DataError, match=r"1 images of 32 x 32 px need .* smaller --size"):
        load([tmp_path / "a.png"], 32)
