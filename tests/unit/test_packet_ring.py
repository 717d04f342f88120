"""The ring of packets: whatever is asked for can be decoded from its keyframe on."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cameras.clock import Clock, Stamp
from edge_agent.cameras.ring import MAX_BYTES, PacketRing


def fill(ring: PacketRing[str], kinds: list[bool]) -> None:
    for n, is_key in enumerate(kinds):
        ring.append(f"p{n}", Stamp(n * 0.04, Clock.RTCP), is_key=is_key, size=1000)


@given(st.lists(st.booleans(), max_size=200))
def test_holds_from_the_keyframe_before_the_newest(kinds: list[bool]) -> None:
    ring: PacketRing[str] = PacketRing()
    fill(ring, kinds)
    keys = [n for n, is_key in enumerate(kinds) if is_key]
    if not keys:
        assert len(ring) == 0
        return
    first = keys[-2] if len(keys) > 1 else keys[-1]
    assert [e.packet for e in ring.entries] == [f"p{n}" for n in range(first, len(kinds))]


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.floats(-1.0, 6.0))
def test_run_up_begins_with_the_last_keyframe_before_the_target(
    kinds: list[bool], instant: float
) -> None:
    ring: PacketRing[str] = PacketRing()
    fill(ring, [True, *kinds])
    target = ring.nearest(instant)
    assert target is not None
    nearest = min(abs(e.stamp.at - instant) for e in ring.entries)
    assert abs(target.stamp.at - instant) == nearest
    run = ring.run_up(target)
    assert run[0].is_key
    assert not any(e.is_key for e in run[1:])
    assert run[-1] is target


def test_a_target_that_has_left_the_ring_has_no_run_up() -> None:
    ring: PacketRing[str] = PacketRing()
    fill(ring, [True, False])
    old = ring.newest
    assert old is not None
    fill(ring, [True, False, True])
    assert ring.run_up(old) == []


def test_a_stream_without_keyframes_does_not_fill_the_memory() -> None:
    ring: PacketRing[str] = PacketRing()
    ring.append("key", Stamp(0, Clock.HOST), is_key=True, size=MAX_BYTES // 2)
    ring.append("p", Stamp(1, Clock.HOST), is_key=False, size=MAX_BYTES)
    assert len(ring) == 0
