"""Reading images: one size, RGB, and a reason for each that is left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from training.data.images import Skip, load, read


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
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(noise).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    names = ["cut.png", "text.png", "good.png", "empty.png", "cmyk.jpg", "deep.png", "none.png"]
    seen: list[None] = []
    images, kept, skips = load(
        [tmp_path / name for name in names], 32, on_image=lambda: seen.append(None)
    )
    assert images.shape == (1, 32, 32, 3)
    assert kept == [2]
    assert len(seen) == len(names)
    reasons = {skip.path.name: skip.reason for skip in skips}
    assert set(reasons) == set(names) - {"good.png"}
    assert "unreadable" in reasons["cut.png"]
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
