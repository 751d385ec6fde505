"""Expected counts of a field by plain integrals over the tables of a file: nothing of the library is used."""

import copy
import math
from functools import cached_property
from itertools import pairwise

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, SkyOffsetFrame
from astropy.io import fits
from scipy.integrate import quad

__all__ = [
    "PlainTelescope", "apart_deg", "field_cells", "polar_cells", "read_diffuse", "read_survey", "sight_integrals",
]  # fmt: skip

TEV_PER_MEV, CM2_PER_M2, DEG = 1e-6, 1e4, math.pi / 180
FINE = np.exp(np.linspace(math.log(0.15), math.log(60.0), 61))
OFFSETS = np.linspace(0.0, 4.0, 17)
ENERGIES, LOG_STEP = np.sqrt(FINE[1:] * FINE[:-1]), math.log(FINE[1] / FINE[0])


def apart_deg(lon, lat, lon_0, lat_0):
    """Haversine formula."""
    half = np.sin((lat - lat_0) * DEG / 2) ** 2
    half = half + np.cos(lat * DEG) * math.cos(lat_0 * DEG) * np.sin((lon - lon_0) * DEG / 2) ** 2
    return 2 * np.arcsin(np.sqrt(half)) / DEG


def bracket(nodes, value):
    """Index and weight of linear interpolation; beyond the ends the line goes on."""
    index = np.clip(np.searchsorted(nodes, value) - 1, 0, len(nodes) - 2)
    return index, (value - nodes[index]) / (nodes[index + 1] - nodes[index])


def bilinear(table, rows, columns, row, column):
    """Table (row, column) at numbers, or arrays that broadcast."""
    i, s = bracket(rows, row)
    j, t = bracket(columns, column)
    low = table[i, j] * (1 - t) + table[i, j + 1] * t
    return low * (1 - s) + (table[i + 1, j] * (1 - t) + table[i + 1, j + 1] * t) * s


class PlainTelescope:
    """The tables of one file, pointed somewhere for some time, and a field in reconstructed coordinates."""

    def __init__(self, path, pointing, hours, energy_tev, lon_deg, lat_deg):
        self.pointing, self.seconds = pointing, hours * 3600.0
        self.energy_tev, self.lon_deg, self.lat_deg = energy_tev, lon_deg, lat_deg
        with fits.open(path) as file:
            self.tables = {
                table.name: {one: np.array(table.data[one][0], dtype=np.float64) for one in table.columns.names}
                for table in file[1:]
            }

    @classmethod
    def open(cls, other):
        """Return the same one with a field without edges."""
        made = copy.copy(other)
        made.lon_deg, made.lat_deg = (-1e3, 1e3), (-90.0, 90.0)
        return made

    def nodes(self, table, name, *, logarithmic=False):
        low, high = self.tables[table][f"{name}_LO"], self.tables[table][f"{name}_HI"]
        return 0.5 * np.log(low * high) if logarithmic else 0.5 * (low + high)

    def area_cm2(self, energy, offset):
        name = "EFFECTIVE AREA"
        axes = self.nodes(name, "THETA"), self.nodes(name, "ENERG", logarithmic=True)
        return CM2_PER_M2 * np.maximum(
            bilinear(self.tables[name]["EFFAREA"], *axes, offset, np.full(np.shape(offset), math.log(energy))), 0
        )

    def sigma_deg(self, energy, offset):
        """Of the one Gaussian; empty nodes take the next higher energy."""
        name = "POINT SPREAD FUNCTION"
        axes = self.nodes(name, "THETA"), self.nodes(name, "ENERG", logarithmic=True)
        table = self.tables[name]["SIGMA_1"]
        for row in table:
            for column in range(len(row) - 2, -1, -1):
                row[column] = row[column] or row[column + 1]
        return bilinear(table, *axes, offset, np.full(np.shape(offset), math.log(energy)))

    @cached_property
    def all_shares(self):
        return [self.bin_shares(energy, OFFSETS) for energy in ENERGIES]

    def bin_shares(self, energy, offsets):
        """Share of events in each bin of reconstructed energy, (offset, bin)."""
        name = "ENERGY DISPERSION"
        theta, log_energy = self.nodes(name, "THETA"), self.nodes(name, "ENERG", logarithmic=True)
        mu = self.nodes(name, "MIGRA")
        j, t = bracket(log_energy, math.log(energy))
        matrix = self.tables[name]["MATRIX"]
        column = matrix[:, :, j] * (1 - t) + matrix[:, :, j + 1] * t
        fine = np.linspace(0.0, 2.9999, 3001)
        shares = []
        for offset in offsets:
            i, s = bracket(theta, offset)
            row = np.maximum(column[i] * (1 - s) + column[i + 1] * s, 0)
            running = np.concatenate([[0], np.cumsum(np.interp(fine, mu, row))])
            at = np.interp(np.clip(self.energy_tev / energy, 0, 3), np.append(fine, 3.0), running)
            shares.append(np.diff(at) / max(running[-1], 1e-300))
        return np.array(shares)

    def inside(self, lon, lat, sigma):
        """Share of light at directions that is seen inside the field: rings of the PSF, walked on the sphere."""
        from_east = np.minimum(lon - self.lon_deg[0], self.lon_deg[1] - lon) * np.cos(lat * DEG)
        from_north = np.minimum(lat - self.lat_deg[0], self.lat_deg[1] - lat)
        depth = np.minimum(from_east, from_north) / sigma
        total, near = (depth > 0).astype(np.float64), np.abs(depth) < 4
        total[near] = self.walk(lon[near] * DEG, lat[near] * DEG, sigma[near] * DEG)
        return total

    def walk(self, east, north, sigma, rings=6, turns=12):
        total = np.zeros(len(east))
        for ring in range(rings):
            away = sigma * math.sqrt(-2 * math.log(1 - (ring + 0.5) / rings))
            for turn in range(turns):
                angle = 2 * math.pi * (turn + 0.5 * (ring % 2)) / turns
                sine = np.sin(north) * np.cos(away) + np.cos(north) * np.sin(away) * math.cos(angle)
                step = np.arctan2(math.sin(angle) * np.sin(away) * np.cos(north), np.cos(away) - np.sin(north) * sine)
                lon, lat = (east + step) / DEG, np.arcsin(sine) / DEG
                seen = (lon > self.lon_deg[0]) & (lon < self.lon_deg[1])
                total += seen & (lat > self.lat_deg[0]) & (lat < self.lat_deg[1])
        return total / (rings * turns)

    def counts(self, density, weights, lon, lat):
        """Expected counts in bins of energy, of a source with flux weights (cells,) times density(E) TeV-1 cm-2 s-1."""
        offset = apart_deg(lon, lat, *self.pointing)
        place, total = bracket(OFFSETS, offset), np.zeros(len(self.energy_tev) - 1)
        for energy, shares in zip(ENERGIES, self.all_shares, strict=True):
            rate = weights * self.area_cm2(energy, offset) * self.seconds * density(energy) * energy * LOG_STEP
            if not rate.any():
                continue
            rate = rate * self.inside(lon, lat, self.sigma_deg(energy, offset))
            total += rate @ (shares[place[0]] * (1 - place[1][:, None]) + shares[place[0] + 1] * place[1][:, None])
        return total

    def background(self, cells=24, steps=12):
        """Expected background in bins of energy."""
        name, total = "BACKGROUND", []
        log_rate = np.log(np.maximum(self.tables[name]["BKG"], 1.18e-38))
        log_energy = self.nodes(name, "ENERG", logarithmic=True)
        axes = self.nodes(name, "DETY"), self.nodes(name, "DETX")
        lon, lat, area = field_cells(self.lon_deg, self.lat_deg, cells)
        centre = SkyCoord(*self.pointing, unit="deg", frame="galactic").icrs
        frame = SkyOffsetFrame(origin=centre)
        local = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs.transform_to(frame)
        distance = centre.separation(SkyCoord(lon, lat, unit="deg", frame="galactic").icrs).to_value(u.deg)
        angle = np.arctan2(np.sin(local.lon.rad) * np.cos(local.lat.rad), np.sin(local.lat.rad))
        x, y = distance * np.sin(angle), distance * np.cos(angle)
        for low, high in pairwise(self.energy_tev):
            step, rate = math.log(high / low) / steps, 0.0
            for number in range(steps):
                energy = low * math.exp(step * (number + 0.5))
                j, t = bracket(log_energy, math.log(energy))
                low_log, high_log = (bilinear(log_rate[:, :, j + k], *axes, y, x) for k in (0, 1))
                per_mev_sr = np.exp(low_log * (1 - t) + high_log * t)
                rate += float(per_mev_sr @ area) / TEV_PER_MEV * energy * step
            total.append(rate * self.seconds)
        return np.array(total)


def field_cells(lon_deg, lat_deg, cells, margin=0.0):
    """Centres (deg) and solid angles (sr) of a plain grid over a field and a margin."""
    edges = [np.linspace(low - margin, high + margin, cells + 1) for low, high in (lon_deg, lat_deg)]
    middle = [0.5 * (one[1:] + one[:-1]) for one in edges]
    lon, lat = (one.ravel() for one in np.meshgrid(*middle))
    return lon, lat, np.cos(lat * DEG) * (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0]) * DEG**2


def polar_cells(lon_deg, lat_deg, radii_deg, turns=24):
    """Cells about a centre: directions of rings between radii, and their solid angles, sr."""
    lon, lat, area = [], [], []
    for k in range(len(radii_deg) - 1):
        low, high = radii_deg[k] * DEG, radii_deg[k + 1] * DEG
        away = math.sqrt(0.5 * (low**2 + high**2))
        for turn in range(turns):
            angle = 2 * math.pi * (turn + 0.5 * (k % 2)) / turns
            sine = math.sin(lat_deg * DEG) * math.cos(away) + math.cos(lat_deg * DEG) * math.sin(away) * math.cos(angle)
            step = math.atan2(
                math.sin(angle) * math.sin(away) * math.cos(lat_deg * DEG),
                math.cos(away) - math.sin(lat_deg * DEG) * sine,
            )
            lon.append(lon_deg + step / DEG)
            lat.append(math.asin(sine) / DEG)
            area.append(2 * math.pi * (math.cos(low) - math.cos(high)) / turns)
    return np.array(lon), np.array(lat), np.array(area)


def sight_integrals(angles_deg, depth_kpc=200.0):
    """dJ/dOmega of an NFW profile, GeV2 cm-5 sr-1, by quadrature along each line of sight."""

    def density(radius):
        def shape(x):
            return 1 / (x * (1 + x) ** 2)

        return 0.39 * shape(radius / 24.42) / shape(8.33 / 24.42)

    found = []
    for angle in np.atleast_1d(angles_deg) * DEG:
        impact, along = 8.33 * math.sin(angle), 8.33 * math.cos(angle)
        ends = [math.asinh(-along / impact), 0.0, math.asinh((depth_kpc - along) / impact)]
        parts = [
            quad(lambda t, b=impact: density(b * math.cosh(t)) ** 2 * b * math.cosh(t), a, b, epsrel=1e-6)[0]
            for a, b in pairwise(ends)
        ]
        found.append(sum(parts) * 3.0856775814913673e21)
    return np.array(found)


def read_diffuse(path, lon, lat):
    """Shape of the diffuse model at directions: its integral from 10 to 600 GeV, bilinear between pixels."""
    with fits.open(path) as file:
        cube, header = np.array(file[0].data, dtype=np.float64), file[0].header
        energy = np.array(file[1].data["ENERGY"], dtype=np.float64) * 1e-3
    slope = np.log(cube[1:] / cube[:-1]) / np.log(energy[1:] / energy[:-1])[:, None, None] + 1
    image = np.zeros(cube.shape[1:])
    for k in range(len(energy) - 1):
        low, high = max(energy[k], 10.0), min(energy[k + 1], 600.0)
        if low < high:
            amount = ((high / energy[k]) ** slope[k] - (low / energy[k]) ** slope[k]) / slope[k]
            image += cube[k] * energy[k] * amount
    column = header["CRPIX1"] - 1 + ((lon + 180) % 360 - 180 - header["CRVAL1"]) / header["CDELT1"]
    row = header["CRPIX2"] - 1 + (lat - header["CRVAL2"]) / header["CDELT2"]
    rows, columns = (np.arange(size, dtype=np.float64) for size in image.shape)
    return bilinear(image, rows, columns, np.clip(row, 0, rows[-1]), np.clip(column, 0, columns[-1]))


def read_survey(path):
    """Sources of the survey: name to density(E) and a list of parts (weight, kind, lon, lat, size)."""
    with fits.open(path) as file:
        rows, parts = file["HGPS_SOURCES"].data, file["HGPS_GAUSS_COMPONENTS"].data
    by_name = {part["Component_ID"].strip(): part for part in parts}
    found = {}
    for row in rows:
        if row["Spectral_Model"].strip() == "PL":
            norm, index, pivot = (
                float(row[name]) for name in
                ("Flux_Spec_PL_Diff_Pivot", "Index_Spec_PL", "Energy_Spec_PL_Pivot")
            )  # fmt: skip
            cutoff = 0.0
        else:
            norm, index, pivot, cutoff = (
                float(row[f"{name}_ECPL{end}"]) for name, end in
                (("Flux_Spec", "_Diff_Pivot"), ("Index_Spec", ""), ("Energy_Spec", "_Pivot"), ("Lambda_Spec", ""))
            )  # fmt: skip
        kind = row["Spatial_Model"].strip()
        if kind in ("Point-Like", "Shell") or not row["Components"].strip():
            place = [(1.0, kind, float(row["GLON"]), float(row["GLAT"]), float(row["Size"]))]
        else:
            own = [by_name[name.strip()] for name in row["Components"].split(",")]
            total = sum(float(part["Flux_Map"]) for part in own)
            place = [
                (float(p["Flux_Map"]) / total, kind, float(p["GLON"]), float(p["GLAT"]), float(p["Size"])) for p in own
            ]

        def density(energy, norm=norm, index=index, pivot=pivot, cutoff=cutoff):
            return norm * (energy / pivot) ** -index * math.exp(-cutoff * energy)

        found[row["Source_Name"].strip()] = density, place
    return found
