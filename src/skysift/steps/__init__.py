"""Steps: one module per rule; each reads files, calls the library and writes files."""

__all__: list[str] = []
