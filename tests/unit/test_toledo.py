"""Toledo continuous output: what the virtual scale says is read; noise never breaks the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.weighbridge.occupancy import Event, Occupancy, Phase
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


def weights(*values: tuple[float, bool]) -> list[Weight]:
    return [Weight(kg, 0.0, stable, True, False) for kg, stable in values]


def test_one_truck_gives_each_event_once() -> None:
    occupancy = Occupancy(arm_kg=300, min_kg=3000)
    seen = [
        occupancy.see(w)
        for w in weights(
            (0, True), (500, False), (9000, False), (30_000, True), (30_010, True),
            (30_020, False), (30_000, True), (1000, False), (0, True), (0, True),
        )
    ]  # fmt: skip
    assert [e for e in seen if e] == [Event.ARRIVING, Event.AT_REST, Event.GONE]


@given(st.lists(st.tuples(st.floats(-100, 60_000), st.booleans(), st.booleans()), max_size=200))
def test_events_always_come_in_order(values: list[tuple[float, bool, bool]]) -> None:
    occupancy = Occupancy(arm_kg=300, min_kg=3000)
    expected = {
        None: {Event.ARRIVING},
        Event.ARRIVING: {Event.AT_REST, Event.GONE},
        Event.AT_REST: {Event.GONE},
        Event.GONE: {Event.ARRIVING},
    }
    last: Event | None = None
    for kg, stable, in_range in values:
        weight = Weight(kg, 0.0, stable, in_range, False)
        event = occupancy.see(weight)
        if event is None:
            continue
        assert event in expected[last]
        if event is Event.AT_REST:
            assert stable
            assert in_range
            assert kg >= 3000
        assert (occupancy.phase is Phase.EMPTY) == (event is Event.GONE)
        last = event
