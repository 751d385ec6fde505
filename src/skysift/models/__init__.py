"""Models: each binds a sky, an instrument and a likelihood to data."""

__all__: list[str] = []
