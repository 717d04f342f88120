"""Where the cane comes from: soil, dust and stations of each growing region.

Soil and dust colours are sRGB 0-255, as a camera under daylight would show dry soil.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Region:
    """A growing region: what its soil does to a load and to the light."""

    name: str
    soil: tuple[int, int, int]
    """Colour of clods and mud, sRGB."""
    dust: tuple[int, int, int]
    """Colour of the dry film on everything, sRGB."""
    dustiness: float
    """Typical strength of that film, 0 to 1."""
    haze: float
    """Typical haze of the air, 0 (clear) to 1."""
    cloud: float
    """Share of overcast days, 0 to 1."""


REGIONS: Final[dict[str, Region]] = {
    region.name: region
    for region in (
        Region("khon_kaen", (146, 88, 58), (176, 132, 100), 0.50, 0.35, 0.25),
        Region("suphan_buri", (112, 98, 84), (160, 148, 132), 0.30, 0.45, 0.40),
        Region("kanchanaburi", (122, 92, 64), (168, 144, 112), 0.40, 0.25, 0.20),
        Region("nakhon_sawan", (70, 62, 58), (128, 120, 112), 0.35, 0.40, 0.30),
        Region("sa_kaeo", (158, 112, 72), (188, 160, 124), 0.45, 0.30, 0.35),
    )
}
"""Regions by name: red laterite, grey clay, brown loam, black vertisol, yellow sand."""

STATIONS: Final[dict[str, str]] = {
    "KK1": "khon_kaen",
    "KK2": "khon_kaen",
    "SB1": "suphan_buri",
    "KC1": "kanchanaburi",
    "NS1": "nakhon_sawan",
    "SK1": "sa_kaeo",
}
"""Virtual weighbridge stations and the region each stands in."""

PROVINCES: Final[dict[str, tuple[str, ...]]] = {
    "khon_kaen": ("ขอนแก่น", "อุดรธานี", "กาฬสินธุ์", "ชัยภูมิ"),
    "suphan_buri": ("สุพรรณบุรี", "ชัยนาท", "สิงห์บุรี"),
    "kanchanaburi": ("กาญจนบุรี", "ราชบุรี"),
    "nakhon_sawan": ("นครสวรรค์", "เพชรบูรณ์", "ลพบุรี", "กำแพงเพชร"),
    "sa_kaeo": ("สระแก้ว", "ปราจีนบุรี", "ชลบุรี"),
}
"""Provinces seen on the plates of each region's trucks."""
