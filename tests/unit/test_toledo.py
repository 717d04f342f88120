"""Toledo continuous output: what the virtual scale says is read; noise never breaks the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.weighbridge.toledo import ToledoParser, Weight, checksum, parse_frame
from simulator.scale import encode


@given(st.integers(0, 9999), st.booleans(), st.integers(0, 99_999))
def test_reads_what_the_scale_sends(tens: int, in_motion: bool, tare: int) -> None:
    (weight,) = ToledoParser(with_checksum=True).feed(
        encode(tens * 10, in_motion=in_motion, tare_kg=tare)
    )
    assert weight == Weight(tens * 10.0, float(tare), not in_motion, True, False)


@given(st.binary(max_size=300), st.data())
def test_a_frame_after_noise_is_found_however_the_bytes_are_cut(
    noise: bytes, data: st.DataObject
) -> None:
    stream = noise.replace(b"\x02", b"") + encode(31_240, in_motion=False)
    parser = ToledoParser(with_checksum=True)
    weights = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        weights += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [w.kg for w in weights] == [31_240.0]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_noise_never_raises_nor_piles_up(chunks: list[bytes]) -> None:
    parser = ToledoParser(with_checksum=False)
    for chunk in chunks:
        for weight in parser.feed(chunk):
            assert abs(weight.kg) < 1e9
    assert len(parser._buffer) < 17


@given(st.integers(0, 17), st.integers(1, 127))
def test_one_changed_byte_is_never_believed(position: int, change: int) -> None:
    frame = bytearray(encode(20_000, in_motion=False))
    frame[position] = frame[position] ^ change
    assert list(ToledoParser(with_checksum=True).feed(bytes(frame))) == []


def test_pounds_decimals_and_sign() -> None:
    frame = bytes([0x02, 0x20 | 3, 0x20 | 0x02, 0x20]) + b"  1000" + b"000000" + b"\r"
    assert parse_frame(frame).kg == pytest.approx(-45.359237)
    assert checksum(frame) == -sum(frame) & 0x7F


def test_a_wrong_checksum_setting_is_told() -> None:
    frame = encode(31_240, in_motion=False)
    parser = ToledoParser(with_checksum=True)
    assert list(parser.feed(frame[:-1] * 10)) == []
    assert parser.trouble() == "sent 9 unreadable frames; try checksum: false"
    assert list(parser.feed(frame)), "one readable frame ends the trouble"
    assert parser.trouble() is None
    # The other way round nothing is lost: the checksum is skipped as noise between frames.
    assert len(list(ToledoParser(with_checksum=False).feed(frame * 10))) == 10


def test_another_protocol_is_told() -> None:
    parser = ToledoParser(with_checksum=False)
    assert list(parser.feed(b"\x02  31240 kg GROSS \r\n" * 3)) == []
    assert "Toledo continuous output" in str(parser.trouble())
