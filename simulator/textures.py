"""The look of stalks, leaves and soil, computed a pixel at a time, so that no two are alike.

Every shader takes, for n pixels, where they lie on their thing and the thing's tone, and gives
linear RGB (3, n). Tone columns of stalks: 0 yellow, 1 purple, 2 bloom, 3 char, 4 sooty mould,
6 internode (m), 7 phase, 8 brightness, 9-10 noise offset, 11 dead sheath. Of leaves: 0 dryness,
2 roll, 3 singe, 5 brown rather than straw, 8 brightness, 9-10 noise offset.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.noise import BLOTCH, CLOUD, GRAIN, STREAK, Floats, linear, noise_at, smooth
from simulator.sprites import Sprites

_GREEN: Final = linear((104, 124, 50))
_DEEP_GREEN: Final = linear((66, 88, 36))
_YELLOW: Final = linear((184, 166, 80))
_PURPLE: Final = linear((96, 62, 66))
_BLOOM: Final = linear((190, 202, 196))
_ROOT_BAND: Final = linear((184, 152, 84))
_SCAR: Final = linear((78, 54, 34))
_MOULD: Final = linear((40, 40, 31))
_FIBRE: Final = linear((208, 186, 146))
_OLD_FIBRE: Final = linear((146, 118, 94))
_CHAR: Final = linear((26, 23, 22))
_SCORCH: Final = linear((112, 82, 44))
_ASH: Final = linear((128, 124, 120))
_SHEATH: Final = linear((160, 130, 92))
_LEAF: Final = linear((92, 126, 44))
_LIGHT_LEAF: Final = linear((150, 172, 84))
_STRAW: Final = linear((200, 178, 126))
_BROWN: Final = linear((134, 98, 60))
_MIDRIB: Final = linear((206, 206, 158))
_SINGED: Final = linear((44, 35, 28))


def mix(a: Floats, b: Floats, share: Floats) -> Floats:
    """Colours a towards b by share (n,); a and b are (3, n), or (3,) for one colour."""
    start = a if a.ndim == 2 else a[:, None]
    way = (b if b.ndim == 2 else b[:, None]) - start
    return np.asarray(start + way * share, np.float32)


def stalk_colours(
    along: Floats, to_end: Floats, v: Floats, half: Floats, tone: Floats, texels: float
) -> Floats:
    """Rind of cane. along: metres from the base, to_end: metres to the nearer cut, half: m."""
    x = along * 1000 + tone[9]
    y = v * half * 1500 + tone[10]
    fine = noise_at(x, y, texels)
    broad = noise_at(x * 0.23 + 311, y * 0.5 + 97, texels)
    cells = along / tone[6] + tone[7]
    number = np.floor(cells)
    t = cells - number
    after = t * tone[6]
    before = tone[6] - after
    dice = np.modf(np.sin(number * 12.99 + tone[9]) * 437.58)[0]

    yellow = np.clip(tone[0] + 0.35 * dice + 0.16 * broad[CLOUD] + 0.1 * fine[STREAK], 0, 1)
    colour = mix(mix(_DEEP_GREEN, _GREEN, np.clip(yellow * 3, 0, 1)), _YELLOW, yellow)
    purple = np.clip(tone[1] * 1.4 + 0.25 * broad[BLOTCH] * tone[1] - 0.1 * dice, 0, 1)
    colour = mix(colour, _PURPLE, purple * 0.8)
    char = tone[3]
    bloom = tone[2] * (1 - 0.8 * char)
    wax = np.exp(-before / 0.016) * 1.1 + 0.42
    wear = 0.7 * broad[BLOTCH] + 0.5 * fine[STREAK] + 1.6 * bloom - 0.7
    worn = smooth(-0.5, 0.9, np.asarray(wear, np.float32))
    colour = mix(colour, _BLOOM, np.clip(bloom * wax * worn * 0.75, 0, 0.85))
    mould = smooth(0.2, 1.3, 0.8 * broad[BLOTCH] + 0.55 * fine[STREAK] + 3.0 * tone[4] - 0.8)
    colour = mix(colour, _MOULD, np.clip(mould * (0.35 + tone[4]), 0, 0.9))
    colour = _nodes(colour, after, before, v, number)
    colour = mix(colour, _SHEATH, tone[11] * smooth(-0.6, 0.4, broad[CLOUD] + 0.4))
    colour = _burn(colour, char, np.minimum(after, before), fine, broad)
    fibre = smooth(0.004, -0.002, to_end - 0.004 * (1 + fine[STREAK]))
    cut = mix(_OLD_FIBRE, _FIBRE, smooth(-0.6, 0.8, broad[CLOUD]))
    colour = mix(colour, cut, fibre * (1 - 0.55 * char))
    light = tone[8] * np.exp(0.12 * fine[STREAK] + 0.07 * fine[GRAIN] + 0.10 * dice)
    return np.asarray(colour * light)


def photo_colours(
    sprites: Sprites,
    u: Floats,
    along: Floats,
    v: Floats,
    metres: Floats,
    tone: Floats,
    pixels_across: float,
    texels: float,
) -> Floats:
    """Rind from photographs, laid end to end on long stalks, then burnt like drawn rind."""
    repeats = np.maximum(np.round(metres / 0.24), 1)
    place = u * repeats
    choice = (tone[9] * 7 + np.floor(place) * 13).astype(np.int64)
    turned = choice % 2 == 0
    within = place - np.floor(place)
    colour = sprites.colours(
        choice // 2, np.where(turned, 1 - within, within), np.where(turned, -v, v), pixels_across
    ).T
    x, y = along * 1000 + tone[9], v * 20 + tone[10]
    fine = noise_at(x, y, texels)
    broad = noise_at(x * 0.23 + 311, y * 0.5 + 97, texels)
    to_node = np.abs(np.modf(along / tone[6] + tone[7])[0] - 0.5) * tone[6]
    # The photographs are darker than bare rind under full light.
    colour = _burn(colour * np.float32(1.6), tone[3], to_node, fine, broad)
    return np.asarray(colour * tone[8])


def _nodes(colour: Floats, after: Floats, before: Floats, v: Floats, number: Floats) -> Floats:
    """Leaf scar, growth ring, root band and bud of each node."""
    colour = mix(colour, _ROOT_BAND, 0.75 * smooth(0.011, 0.007, after))
    colour = mix(colour, _SCAR, 0.8 * smooth(0.0035, 0.0015, before))
    colour = mix(colour, _FIBRE, 0.5 * smooth(0.0025, 0.001, np.abs(after - 0.0115)))
    place = np.where(number % 2 < 0.5, 0.4, -0.5)
    bud = ((after - 0.006) / 0.006) ** 2 + ((v - place) / 0.36) ** 2
    return mix(colour, _SCAR, 0.7 * smooth(1.1, 0.6, bud))


def _burn(colour: Floats, char: Floats, to_node: Floats, fine: Floats, broad: Floats) -> Floats:
    """Fire browns the rind, blackens it in patches, most at the nodes, and leaves some ash."""
    colour = mix(colour, _SCORCH, np.clip(char * 0.75, 0, 0.7))
    heat = 1.7 * char + 0.36 * broad[BLOTCH] + 0.22 * fine[STREAK]
    heat = heat + 0.45 * np.exp(-to_node / 0.018) - 0.95
    black = smooth(-0.25, 0.55, heat) * smooth(0.0, 0.18, char)
    colour = mix(colour, _CHAR, black * 0.94)
    ash = smooth(0.7, 1.7, broad[CLOUD] + 0.7 * fine[GRAIN]) * black
    return mix(colour, _ASH, np.asarray(ash * 0.35, np.float32))


def face_colours(u: Floats, v: Floats, tone: Floats, texels: float) -> Floats:
    """The cut end of a stalk: pale pith, darker vessels, browning rim."""
    r = np.hypot(2 * u - 1, v)
    grain = noise_at(u * 30 + tone[9], v * 15 + tone[10], texels)
    age = np.clip(0.35 + 0.3 * np.sin(tone[9]) + 0.35 * tone[3], 0, 1)
    colour = mix(_FIBRE, _OLD_FIBRE, age)
    colour = mix(colour, _SCAR, 0.7 * smooth(0.72, 1.0, r) + 0.12 * smooth(0.5, 1.5, grain[GRAIN]))
    colour = mix(colour, _CHAR, 0.5 * tone[3] * smooth(-0.4, 0.8, grain[CLOUD]))
    return np.asarray(colour * (tone[8] * np.exp(0.1 * grain[GRAIN])))


def leaf_colours(u: Floats, v: Floats, along: Floats, tone: Floats, texels: float) -> Floats:
    """A leaf: green to straw to brown, with midrib, veins and singed edges."""
    fine = noise_at(along * 600 + tone[9], v * 16 + tone[10], texels)
    broad = noise_at(along * 220 + tone[10], v * 9 + tone[9], texels)
    dry = np.clip(tone[0] + 0.35 * (u - 0.5) + 0.16 * broad[CLOUD] + 0.2 * np.abs(v) - 0.1, 0, 1)
    green = mix(_LEAF, _LIGHT_LEAF, np.clip(0.35 + 0.3 * broad[CLOUD], 0, 1))
    dead = mix(_STRAW, _BROWN, np.clip(tone[5] + 0.25 * broad[CLOUD], 0, 1))
    colour = mix(green, dead, smooth(0.3, 0.75, dry))
    colour = mix(colour, _MIDRIB, 0.6 * smooth(0.20, 0.06, np.abs(v)) * (1 - 0.6 * dry))
    singe = tone[3] * 1.5 + 0.35 * np.abs(v) + 0.5 * u + 0.3 * broad[BLOTCH] - 1.05
    colour = mix(colour, _SINGED, smooth(0.0, 0.45, singe) * smooth(0, 0.2, tone[3]))
    light = tone[8] * np.exp(0.16 * fine[STREAK] + 0.06 * fine[GRAIN])
    return np.asarray(colour * light)


def sheath_colours(u: Floats, v: Floats, along: Floats, tone: Floats, texels: float) -> Floats:
    """A leaf sheath: broad, striped, straw or purplish, pale at its foot."""
    fine = noise_at(along * 500 + tone[9], v * 22 + tone[10], texels)
    colour = mix(_SHEATH, _STRAW, np.clip(0.5 + 0.3 * fine[STREAK], 0, 1))
    colour = mix(colour, _PURPLE, 0.35 * tone[5] * smooth(0.2, 0.9, u))
    colour = mix(colour, _LEAF, 0.6 * (1 - tone[0]) * smooth(0.8, 0.2, tone[0]))
    colour = mix(colour, _SINGED, 0.8 * tone[3] * smooth(-0.2, 0.8, fine[BLOTCH] + 0.4 * u))
    light = tone[8] * np.exp(0.2 * fine[STREAK])
    return np.asarray(colour * light)


def soil_colours(
    soil: Floats, x: Floats, y: Floats, tone: Floats, stone: bool, texels: float
) -> Floats:
    """Clods (or stones, greyer and smoother); x, y in metres, soil is linear RGB (3,)."""
    fine = noise_at(x * 1000 + tone[9], y * 1000 + tone[10], texels)
    # Clods are damp inside: darker than the dust that names the soil's colour.
    base = soil * 0.4 + float(soil.mean()) * 0.7 if stone else soil * np.float32(0.6)
    light = tone[8] * np.exp((0.1 if stone else 0.4) * fine[CLOUD] + 0.15 * fine[GRAIN])
    return np.asarray(base[:, None] * light)
