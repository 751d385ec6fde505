"""Dark matter: density profiles, line-of-sight integrals, annihilation and decay spectra."""

__all__: list[str] = []
