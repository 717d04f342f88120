"""Fingerprints: copies are near, other pictures are far, and no pair is missed."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from training.data.fingerprints import NEAR_BITS, Fingerprint, fingerprint, near_pairs, take
from training.data.images import Skip


def picture(seed: int, size: int = 160) -> Image.Image:
    """Stalks in all directions: much structure, as a load has."""
    rng = np.random.default_rng(seed)
    canvas = np.full((size, size, 3), 60, np.uint8)
    for _ in range(150):
        ends = rng.integers(0, size, 4).tolist()
        colour = rng.integers(30, 230, 3).tolist()
        cv2.line(canvas, ends[:2], ends[2:], colour, int(rng.integers(2, 7)))
    return Image.fromarray(canvas)


def distance(one: Path, other: Path) -> int:
    first, second = fingerprint(one), fingerprint(other)
    assert isinstance(first, Fingerprint)
    assert isinstance(second, Fingerprint)
    return int(np.bitwise_count(first.perceptual ^ second.perceptual).sum())


def jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(jpeg, id="jpeg"),
        pytest.param(lambda image: image.resize((80, 80)), id="half the size"),
        pytest.param(lambda image: ImageEnhance.Brightness(image).enhance(0.7), id="darker"),
        pytest.param(lambda image: image.crop((2, 2, 158, 158)), id="cropped"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_is_near(tmp_path: Path, seed: int, change: object) -> None:
    assert callable(change)
    picture(seed).save(tmp_path / "a.png")
    change(picture(seed)).save(tmp_path / "b.png")
    assert distance(tmp_path / "a.png", tmp_path / "b.png") <= NEAR_BITS


def test_other_pictures_are_far(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(40)]
    for seed, path in enumerate(paths):
        picture(seed).save(path)
    hashes = np.stack([one.perceptual for one in take(paths) if isinstance(one, Fingerprint)])
    assert len(hashes) == 40
    assert near_pairs(hashes) == []


def test_content_is_the_pixels_whatever_the_file(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    picture(1).save(tmp_path / "b.bmp")
    picture(1).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"none")
    taken = take([tmp_path / name for name in ("a.png", "b.bmp", "c.png", "d.png")])
    first, second, turned, broken = taken
    assert isinstance(first, Fingerprint)
    assert isinstance(second, Fingerprint)
    assert isinstance(turned, Fingerprint)
    assert first.content == second.content != turned.content
    assert isinstance(broken, Skip)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 40), st.integers(1, 9))
def test_no_pair_is_missed(words: list[int], bits: int, block: int) -> None:
    # Few distinct words and single flipped bits make pairs at every distance.
    words += [word ^ (2**k - 1) for k, word in enumerate(words)]
    hashes = np.array(words, np.uint64).reshape(-1, 1)
    expected = [
        (i, j, (words[i] ^ words[j]).bit_count())
        for i in range(len(words))
        for j in range(i + 1, len(words))
        if (words[i] ^ words[j]).bit_count() <= bits
    ]
    assert sorted(near_pairs(hashes, bits, block=block)) == expected
