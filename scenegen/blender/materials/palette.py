"""Believable colours of building materials, as sRGB hex; families get them linear, slightly varied."""

import colorsys

import numpy as np

Rgb = tuple[float, float, float]

WOODS = ("#a97c50", "#8b5e3c", "#6f4a2f", "#c19a6b", "#b58a5a", "#5a3d2b", "#9c6b43", "#d2b48c", "#8a7560", "#b9a184")
PAINTS = (
    "#ece7dc", "#e3ddd0", "#f1eee6", "#d8d2c4", "#cfd3cf", "#c9d0d6", "#dcd0c0", "#d9c9b0", "#b9c2b4", "#a9b4bd",
    "#c7b7a3", "#b5a89a", "#9aa79a", "#8f9aa5", "#c2a58e", "#7f8c88", "#e8dcc6", "#d5bfae", "#6f7f86", "#a7ab9d",
)  # fmt: skip
BRICKS = ("#9a5440", "#8a4a3a", "#a4664c", "#7d4a3e", "#b37a5c", "#8f6a55", "#a89078", "#6e4c44", "#c0a58a", "#77706a")
MORTARS = ("#b8b2a6", "#a6a097", "#c9c4b8", "#8d8983", "#d2cdc2")
CONCRETES = ("#9a9a96", "#8a8a87", "#a8a59e", "#b4b1aa", "#7d7e7d", "#a39c92")
TILES = (
    "#e4e0d8", "#d6d1c7", "#c4beb2", "#b7aa98", "#8f8a84", "#6c6a68", "#a98f76", "#9fa8a3", "#7e8f96", "#b08d74",
    "#f0eee9", "#5b6266", "#93a08d", "#c9b79c",
)  # fmt: skip
MARBLES = (
    ("#ebe8e2", "#8d8c8c"), ("#e6dfd2", "#a18c72"), ("#d9d8d4", "#6a6d72"), ("#3a3b3d", "#b9b4aa"),
    ("#5e6a5d", "#c6cbbd"), ("#c9a78c", "#efe6da"),
)  # fmt: skip
CARPETS = ("#8c8479", "#6e6a66", "#a39684", "#75806f", "#5d6a78", "#7d5a50", "#9b8a8a", "#4f5560", "#b3a893", "#8d7358")
FABRICS = ("#b7ab98", "#8a9099", "#a08c7a", "#6f7a72", "#c9bfae", "#7c6a72", "#586470", "#ad8f6f", "#94a09b", "#d0c8bb")
WALLPAPERS = ("#d9d0bf", "#c5cbbf", "#b8c1c7", "#d6c2b5", "#c8bcc0", "#e0d8c8", "#a8b3a5", "#9da8b3", "#cdb99a")
STONES = ("#8d8a84", "#a29b90", "#78746f", "#b3aa9c", "#6a6866", "#96897a", "#c2bbaf", "#857a70")
GRASSES = ("#5f7a34", "#6f8440", "#4f6a2e", "#7b8648", "#596f38", "#8a8a52")
SOILS = ("#6b5844", "#7a6850", "#5a4a3a", "#85735c")
METALS = ("#b9bbbd", "#a5a7a9", "#8c8f92", "#c4beb2", "#9b9a94", "#75797d")
RUSTS = ("#7a4a2e", "#8a5a38", "#65402c")


def linear(hex_colour: str) -> Rgb:
    """sRGB "#rrggbb" to linear RGB."""
    channels = (int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return red, green, blue


def pick(rng: np.random.Generator, colours: tuple[str, ...], variation: float = 0.06) -> Rgb:
    """One of the colours, its hue, saturation and value varied a little; linear RGB."""
    return vary(rng, linear(colours[int(rng.integers(len(colours)))]), variation)


def vary(rng: np.random.Generator, colour: Rgb, variation: float) -> Rgb:
    """Another colour near this one (linear RGB)."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    hue = (hue + rng.normal(0.0, variation / 8)) % 1.0
    saturation = float(np.clip(saturation * (1 + rng.normal(0.0, 2 * variation)), 0.0, 0.75))
    value = float(np.clip(value * (1 + rng.normal(0.0, 2 * variation)), 0.01, 0.9))
    return colorsys.hsv_to_rgb(hue, saturation, value)


def scaled(colour: Rgb, factor: float) -> Rgb:
    """The colour times `factor`, at most 0.95 (nothing real reflects more)."""
    red, green, blue = (min(0.95, c * factor) for c in colour)
    return red, green, blue
