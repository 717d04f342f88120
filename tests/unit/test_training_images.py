"""Reading images: one size, RGB, and a reason for each that is left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_agent.inference.manifest import GradedArea
from training.data.images import Skip, decode, in_pixels, load, read
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
    assert reasons["text.png"] == reasons["empty.png"] == "not an image"
    assert "CMYK" in reasons["cmyk.jpg"]
    assert "16 or more bits" in reasons["deep.png"]
    assert reasons["none.png"] == "no such file"


def test_huge_images_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.images.MAX_PIXELS", 1000)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png", 32)
    assert isinstance(found, Skip)
    assert "64 x 64" in found.reason


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
    expected = {
        "grey.png": np.dstack([grey] * 3),
        "opaque.png": opaque[:, :, :3],
        "palette.png": np.asarray(few_colours.convert("RGB")),
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
    Image.fromarray(np.zeros((32, 32), np.float32)).save(tmp_path / "float.tif")
    frames = [Image.fromarray(noise(32, 32, 3) // k) for k in (1, 2)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    expected = {
        "holes.png": "transparent",
        "palette holes.png": "transparent",
        "deep.png": "16 or more bits",
        "deep.tif": "16 or more bits",
        "float.tif": "colour mode F",
        "film.gif": "more than one picture",
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


def test_more_than_the_free_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    with pytest.raises(DataError, match=r"1 images of 32 x 32 px need .* smaller --size"):
        load([tmp_path / "a.png"], 32)
