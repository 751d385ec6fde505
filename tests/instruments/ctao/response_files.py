"""Small response files: valid ones, and the same with one thing changed."""

from dataclasses import dataclass, field

import numpy as np
from astropy.io import fits

ENERGY = np.geomspace(0.1, 10.0, 6)
OFFSET = np.linspace(0.0, 3.0, 4)
MIGRA = np.linspace(0.0, 3.0, 31)
SIDE = np.linspace(-3.0, 3.0, 7)
RADIUS = np.linspace(0.0, 0.5, 51)


@dataclass
class Column:
    """One column: its content, slowest axis first, and its unit."""

    values: np.ndarray
    unit: str = ""

    def build(self, name):
        content = np.asarray(self.values, dtype=">f4")
        dim = str(content.shape[::-1]) if content.ndim > 1 else None
        return fits.Column(name, f"{content.size}E", unit=self.unit or None, dim=dim, array=content[None])


@dataclass
class Table:
    """One response table: columns by name, and header cards."""

    kind: str
    name: str
    columns: dict
    cards: dict = field(default_factory=dict)

    def build(self):
        columns = [column.build(name) for name, column in self.columns.items()]
        hdu = fits.BinTableHDU.from_columns(columns, name=self.name)
        hdu.header["HDUCLAS4"] = self.kind
        hdu.header.update(self.cards)
        return hdu


def edges(name, values, unit):
    return {f"{name}_LO": Column(values[:-1], unit), f"{name}_HI": Column(values[1:], unit)}


def over_energy_and_offset():
    return edges("ENERG", ENERGY, "TeV") | edges("THETA", OFFSET, "deg")


def make_area():
    area = np.linspace(1.0, 2.0, 15).reshape(3, 5) * 1e5
    return Table("AEFF_2D", "EFFECTIVE AREA", over_energy_and_offset() | {"EFFAREA": Column(area, "m2")})


def make_gaussians():
    """Return three Gaussians, all used; SCALE as the format defines it."""
    sigma = np.linspace(0.1, 0.05, 15).reshape(3, 5)
    columns = over_energy_and_offset() | {"SCALE": Column(1.0 / sigma, "sr-1")}
    columns |= {f"SIGMA_{term}": Column(sigma * term, "deg") for term in (1, 2, 3)}
    columns |= {"AMPL_2": Column(0.3 * sigma), "AMPL_3": Column(np.full((3, 5), 0.01))}
    return Table("PSF_3GAUSS", "POINT SPREAD FUNCTION", columns)


def make_king():
    sigma, gamma = np.linspace(0.1, 0.05, 15).reshape(3, 5), np.linspace(2.0, 4.0, 15).reshape(3, 5)
    return Table(
        "PSF_KING", "POINT SPREAD FUNCTION",
        over_energy_and_offset() | {"SIGMA": Column(sigma, "deg"), "GAMMA": Column(gamma)},
    )  # fmt: skip


def make_psf_table():
    """Return a table of two Gaussians, per sr."""
    middle = 0.5 * (RADIUS[1:] + RADIUS[:-1])[:, None, None]
    sigma = np.linspace(0.08, 0.05, 15).reshape(3, 5)
    density = sum(
        share * np.exp(-0.5 * (middle / (factor * sigma)) ** 2) / (2 * np.pi * (factor * sigma) ** 2)
        for share, factor in ((0.8, 1.0), (0.2, 2.0))
    )
    columns = over_energy_and_offset() | edges("RAD", RADIUS, "deg")
    return Table("PSF_TABLE", "PSF", columns | {"RPSF": Column(density * np.degrees(1.0) ** 2, "sr-1")})


def make_dispersion():
    """Return Gaussians in mu whose width grows with offset; far from normalised."""
    middle = 0.5 * (MIGRA[1:] + MIGRA[:-1])[None, :, None]
    width = np.linspace(0.2, 0.4, 3)[:, None, None] * np.linspace(1.0, 0.8, 5)
    matrix = 0.02 * np.exp(-0.5 * ((middle - 1.0) / width) ** 2)
    return Table(
        "EDISP_2D", "ENERGY DISPERSION",
        over_energy_and_offset() | edges("MIGRA", MIGRA, "") | {"MATRIX": Column(matrix)},
    )  # fmt: skip


def make_background():
    """Return a background that differs in all four quarters, in the order [DETY, DETX, E]."""
    middle = 0.5 * (SIDE[1:] + SIDE[:-1])
    fall = np.exp(-0.1 * (middle[:, None] - 0.5) ** 2 - 0.2 * (middle + 0.3) ** 2)
    rate = fall[..., None] * np.sqrt(ENERGY[1:] * ENERGY[:-1]) ** -2.7 * 1e-5
    axes = edges("ENERG", ENERGY, "TeV") | edges("DETX", SIDE, "deg") | edges("DETY", SIDE, "deg")
    columns = axes | {"BKG": Column(rate, "s-1 MeV-1 sr-1")}
    return Table("BKG_3D", "BACKGROUND", columns, {"FOVALIGN": "RADEC"})


def make_radial_background():
    rate = np.exp(-OFFSET[:-1])[:, None] * ENERGY[1:] ** -2.7 * 1e-5
    return Table("BKG_2D", "BACKGROUND", over_energy_and_offset() | {"BKG": Column(rate, "s-1 MeV-1 sr-1")})


def make_tables():
    makers = {"area": make_area, "psf": make_gaussians, "dispersion": make_dispersion, "background": make_background}
    return {name: make() for name, make in makers.items()}


def write(path, tables, **cards):
    """Write tables to a file and return its path."""
    primary = fits.PrimaryHDU()
    primary.header.update(cards)
    fits.HDUList([primary, *(table.build() for table in tables.values())]).writeto(path)
    return path
