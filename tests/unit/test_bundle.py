"""Broken bundles: one line that names the file, whatever byte is wrong."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.errors import BundleError
from edge_agent.inference.bundle import Bundle

GOOD = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"
DATA = GOOD.read_bytes()


def test_the_committed_bundle_is_whole() -> None:
    bundle = Bundle.read(GOOD)
    assert len(bundle.golden) == len(bundle.manifest.golden)
    assert len(DATA) <= 5_000_000


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    spoiled = bytearray(DATA)
    at = data.draw(st.integers(0, len(DATA) - 64))
    spoiled[at : at + 64] = data.draw(st.binary(min_size=64, max_size=64))
    file = tmp_path / "spoiled.bundle"
    file.write_bytes(bytes(spoiled))
    said = None
    try:
        model = Bundle.read(file).model
    except BundleError as error:
        said = str(error)
    if said is None:
        # The damage lay where nothing is read: what grades is what was exported.
        assert model == Bundle.read(GOOD).model
    else:
        assert str(file) in said
        assert "\n" not in said


@pytest.mark.parametrize("length", [0, 10, len(DATA) // 2, len(DATA) - 1])
def test_a_cut_file_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "cut.bundle"
    file.write_bytes(DATA[:length])
    with pytest.raises(BundleError, match="not a readable zip"):
        Bundle.read(file)
