"""How anything reaches disk: formats, units, checksums, atomic writes, provenance."""

from __future__ import annotations

__all__: list[str] = []
