"""Discovery of new inorganic crystals by generative design, on a database."""

__version__ = "0.1.0"
