"""Colours: from a name or a hex to the tokens of a light and a dark theme that keep WCAG AA.

Lightness is set in OKLCH (Björn Ottosson's perceptual space), so that every hue is treated alike, and
then moved until the contrast holds.
"""

import math
from dataclasses import dataclass

AA_TEXT = 4.5
# Aimed for, so that rounding to 8 bits never falls below AA.
_TEXT = 4.7

NAMED = {
    "red": "#c8342f",
    "crimson": "#b3203a",
    "burgundy": "#7f1d35",
    "maroon": "#7b2a2a",
    "terracotta": "#b9553a",
    "rust": "#a8502b",
    "coral": "#e0654f",
    "orange": "#d9711c",
    "peach": "#e08a5f",
    "amber": "#b97a0c",
    "gold": "#a8842c",
    "golden": "#a8842c",
    "mustard": "#b08a1e",
    "yellow": "#c9a40e",
    "lime": "#7aa216",
    "olive": "#6f7a2c",
    "sage": "#6f8f6b",
    "green": "#2f8549",
    "emerald": "#0f8a63",
    "forest": "#2b6140",
    "mint": "#3fa37f",
    "teal": "#17807e",
    "turquoise": "#13909a",
    "cyan": "#0f8fae",
    "aqua": "#1391a8",
    "sky": "#2a86c7",
    "blue": "#2a63c7",
    "navy": "#27407c",
    "indigo": "#4a4bbd",
    "lavender": "#7f74c4",
    "purple": "#7a3fb5",
    "violet": "#6d43c0",
    "plum": "#7d3a76",
    "magenta": "#b42a83",
    "fuchsia": "#b42a83",
    "pink": "#d2497f",
    "rose": "#c4476a",
    "brown": "#855030",
    "chocolate": "#6b4126",
    "beige": "#9c8460",
    "cream": "#a08a5c",
    "sand": "#a3865a",
    "grey": "#5f6670",
    "gray": "#5f6670",
    "silver": "#6d7580",
    "black": "#3a3d42",
    "white": "#4b5563",
    "monochrome": "#4b4f55",
}


@dataclass(frozen=True, slots=True)
class Lch:
    """Lightness 0–1, chroma (0 is grey, 0.2 is vivid), hue in degrees."""

    lightness: float
    chroma: float
    hue: float

    def hex(self) -> str:
        """`#rrggbb`, with the chroma lowered until it fits into sRGB."""
        chroma = self.chroma
        while chroma > 0:
            rgb = _to_linear(Lch(self.lightness, chroma, self.hue))
            if all(-0.0005 <= channel <= 1.0005 for channel in rgb):
                break
            chroma -= 0.004
        rgb = _to_linear(Lch(self.lightness, max(chroma, 0), self.hue))
        return "#" + "".join(f"{_encode(channel):02x}" for channel in rgb)


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one scheme, as hex. Every text colour keeps AA on every ground named here."""

    bg: str
    surface: str
    tint: str
    line: str
    edge: str
    ink: str
    muted: str
    accent: str
    on_accent: str
    accent_ink: str
    # For pictures only.
    deep: str
    soft: str
    second: str
    warm: str


def themes(color: str) -> tuple[Theme, Theme]:
    """The light and the dark theme around `color` (hex)."""
    return _light(parse(color)), _dark(parse(color))


def parse(color: str) -> Lch:
    """A hex colour in OKLCH."""
    red, green, blue = (_decode(int(color[at : at + 2], 16)) for at in (1, 3, 5))
    one = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    two = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    three = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * one + 0.7936177850 * two - 0.0040720468 * three
    a = 1.9779984951 * one - 2.4285922050 * two + 0.4505937099 * three
    b = 0.0259040371 * one + 0.7827717662 * two - 0.8086757660 * three
    return Lch(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def contrast(one: str, other: str) -> float:
    """The WCAG contrast ratio of two hex colours, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _light(base: Lch) -> Theme:
    hue, chroma = base.hue, min(base.chroma, 0.17)
    bg = Lch(0.985, min(chroma, 0.09) * 0.09, hue).hex()
    tint = Lch(0.945, min(chroma, 0.12) * 0.26, hue).hex()
    accent, on_accent = _light_accent(base)
    grounds = (bg, tint, "#ffffff")
    return Theme(
        bg=bg,
        surface="#ffffff",
        tint=tint,
        line=Lch(0.89, min(chroma, 0.1) * 0.16, hue).hex(),
        edge=_against(Lch(0.62, chroma * 0.2, hue), grounds, -1, 3.1),
        ink=Lch(0.25, min(chroma, 0.1) * 0.25, hue).hex(),
        muted=_against(Lch(0.5, min(chroma, 0.1) * 0.25, hue), grounds, -1),
        accent=accent,
        on_accent=on_accent,
        accent_ink=_against(Lch(min(base.lightness, 0.55), chroma, hue), grounds, -1),
        deep=Lch(0.36, chroma * 0.75, hue).hex(),
        soft=Lch(0.86, min(chroma, 0.14) * 0.5, hue).hex(),
        second=Lch(0.68, max(chroma * 0.7, 0.05), (hue + 150) % 360).hex(),
        warm=Lch(0.84, 0.1, 78).hex(),
    )


def _light_accent(base: Lch) -> tuple[str, str]:
    """The accent and the text on it. Yellow darkened until white reads on it is no yellow any more."""
    chroma = min(base.chroma, 0.17)
    if 75 <= base.hue <= 135 and base.lightness > 0.65 and chroma > 0.1:
        accent = Lch(0.84, chroma, base.hue).hex()
        return accent, _against(Lch(0.3, chroma * 0.3, base.hue), (accent,), -1)
    return _against(Lch(min(base.lightness, 0.62), chroma, base.hue), ("#ffffff",), -1), "#ffffff"


def _dark(base: Lch) -> Theme:
    hue, chroma = base.hue, min(base.chroma, 0.15)
    bg = Lch(0.185, min(chroma, 0.1) * 0.14, hue).hex()
    surface = Lch(0.23, min(chroma, 0.1) * 0.16, hue).hex()
    tint = Lch(0.275, min(chroma, 0.12) * 0.32, hue).hex()
    grounds = (bg, surface, tint)
    accent = Lch(0.78, chroma * 0.85, hue).hex()
    return Theme(
        bg=bg,
        surface=surface,
        tint=tint,
        line=Lch(0.34, min(chroma, 0.1) * 0.2, hue).hex(),
        edge=_against(Lch(0.5, chroma * 0.2, hue), grounds, 1, 3.1),
        ink=Lch(0.95, min(chroma, 0.1) * 0.1, hue).hex(),
        muted=_against(Lch(0.74, min(chroma, 0.1) * 0.2, hue), grounds, 1),
        accent=accent,
        on_accent=_against(Lch(0.26, chroma * 0.4, hue), (accent,), -1),
        accent_ink=_against(Lch(0.8, chroma * 0.8, hue), grounds, 1),
        deep=Lch(0.6, chroma * 0.8, hue).hex(),
        soft=Lch(0.38, chroma * 0.5, hue).hex(),
        second=Lch(0.7, max(chroma * 0.6, 0.05), (hue + 150) % 360).hex(),
        warm=Lch(0.8, 0.09, 78).hex(),
    )


def _against(color: Lch, grounds: tuple[str, ...], direction: int, ratio: float = _TEXT) -> str:
    """`color`, made darker (-1) or lighter (1) until it has `ratio` to every ground."""
    while 0 < color.lightness < 1:
        shown = color.hex()
        if all(contrast(shown, ground) >= ratio for ground in grounds):
            return shown
        color = Lch(color.lightness + direction * 0.01, color.chroma, color.hue)
    return "#ffffff" if direction > 0 else "#000000"


def _luminance(color: str) -> float:
    red, green, blue = (_decode(int(color[at : at + 2], 16)) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_linear(color: Lch) -> tuple[float, float, float]:
    angle = math.radians(color.hue)
    a, b = color.chroma * math.cos(angle), color.chroma * math.sin(angle)
    one = (color.lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    two = (color.lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    three = (color.lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * one - 3.3077115913 * two + 0.2309699292 * three,
        -1.2684380046 * one + 2.6097574011 * two - 0.3413193965 * three,
        -0.0041960863 * one - 0.7034186147 * two + 1.7076147010 * three,
    )


def _decode(value: int) -> float:
    channel = value / 255
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encode(channel: float) -> int:
    channel = min(1.0, max(0.0, channel))
    value = 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
    return round(value * 255)
