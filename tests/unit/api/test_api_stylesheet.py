"""Every pair of text and ground colour in both themes has the contrast of WCAG 2.2 AA (1.4.3: 4.5 to 1)."""

import re
from itertools import product
from pathlib import Path

import pytest

SHEET = (Path(__file__).parents[3] / "api/pages/static/casekeeper.css").read_text()
ON_PAGE = product(("ink", "quiet", "accent", "bad", "warn", "good"), ("ground", "surface"))
PAIRS = [
    *ON_PAGE,
    ("accent-ink", "accent"),
    ("good", "good-ground"),
    ("warn", "warn-ground"),
    ("bad", "bad-ground"),
    ("gone", "gone-ground"),
    ("gone", "gone-stripe"),
]


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", SHEET, re.S)
    assert len(blocks) == 2
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    assert light.keys() == dark.keys()
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_itself():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(theme, text, ground):
    colours = palettes()[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


def test_nothing_is_loaded_from_elsewhere():
    assert "http" not in SHEET
    assert "@import" not in SHEET
    assert "url(" not in SHEET
