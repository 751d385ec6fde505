"""What a telescope does to the sky."""

__all__: list[str] = []
