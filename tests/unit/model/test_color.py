"""Whatever colour is asked for, text keeps its contrast in both schemes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.model.composer import color
from local.model.composer.color import AA_TEXT, Theme, contrast


def _check(theme: Theme) -> None:
    for ground in (theme.bg, theme.surface, theme.tint):
        for text in (theme.ink, theme.muted, theme.accent_ink):
            assert contrast(text, ground) >= AA_TEXT
        assert contrast(theme.edge, ground) >= 3
    assert contrast(theme.on_accent, theme.accent) >= AA_TEXT


@pytest.mark.parametrize("name", color.NAMED)
def test_every_named_colour_makes_readable_themes(name: str) -> None:
    for theme in color.themes(color.NAMED[name]):
        _check(theme)


@given(st.integers(0, 0xFFFFFF))
def test_any_colour_makes_readable_themes(value: int) -> None:
    for theme in color.themes(f"#{value:06x}"):
        _check(theme)


@given(st.integers(0, 0xFFFFFF))
def test_a_colour_survives_the_way_to_oklch_and_back(value: int) -> None:
    shade = f"#{value:06x}"
    back = color.parse(shade).hex()
    channels = zip(
        (shade[1:3], shade[3:5], shade[5:]), (back[1:3], back[3:5], back[5:]), strict=True
    )
    assert all(abs(int(one, 16) - int(other, 16)) <= 3 for one, other in channels)


def test_black_on_white_has_the_contrast_that_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
