"""The fold written down a second time: loops and quadrature from the definitions, none of the library's kernels."""

import math
from itertools import pairwise

import numpy as np

__all__ = ["SlowFold", "discrete_densities"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_ENERGY_NODES, _ENERGY_WEIGHTS = np.polynomial.legendre.leggauss(8)


def distance_deg(first, second):
    """Haversine formula for two (lon, lat) in deg."""
    l1, b1, l2, b2 = (math.radians(x) for x in (*first, *second))
    half = math.sin((b2 - b1) / 2) ** 2 + math.cos(b1) * math.cos(b2) * math.sin((l2 - l1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(half)))


def short(lon):
    """Longitudes near zero."""
    return lon - 360.0 * np.round(lon / 360.0)


def normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def mean_over(low, high, function, scale):
    """Mean of a function over an interval, by quadrature on pieces no longer than a scale."""
    pieces = max(1, math.ceil((high - low) / scale))
    edges = np.linspace(low, high, pieces + 1)
    total = 0.0
    for a, b in pairwise(edges):
        middle, half = 0.5 * (a + b), 0.5 * (b - a)
        total += half * sum(w * function(middle + half * x) for x, w in zip(_NODES, _WEIGHTS, strict=True))
    return total / (high - low)


class SlowFold:
    """Loops over all true bins."""

    def __init__(self, irf, true, reconstructed, pointing):
        self.irf, self.true, self.reco, self.pointing = irf, true, reconstructed, pointing
        self.energies = []
        for low, high in zip(true.energy.edges_tev[:-1], true.energy.edges_tev[1:], strict=True):
            middle, half = 0.5 * math.log(low * high), 0.5 * math.log(high / low)
            points = [math.exp(middle + half * x) for x in _ENERGY_NODES]
            weights = [w * e**-1.5 for w, e in zip(_ENERGY_WEIGHTS, points, strict=True)]
            self.energies.append([(e, w / sum(weights)) for e, w in zip(points, weights, strict=True)])

    def offset(self, lon, lat):
        return distance_deg((self.pointing.lon_deg, self.pointing.lat_deg), (lon, lat))

    def psf(self, e, offset):
        edges = self.true.energy.edges_tev
        weights, sigmas = self.irf.psf_components(math.sqrt(edges[e] * edges[e + 1]), offset)
        return list(zip(weights, sigmas, strict=True))

    def area(self, e, offset):
        return sum(w * float(self.irf.area_cm2(energy, offset)) for energy, w in self.energies[e])

    def migrate(self, e, k, offset, parts=1):
        """Integral of M / E over reconstructed bin k: M is linear between its nodes, or between parts of them."""
        low, high = self.reco.energy.edges_tev[k : k + 2]
        nodes, total = self.irf.energy_dispersion.migra.nodes, 0.0
        for energy, weight in self.energies[e]:
            a, b = low / energy, high / energy
            mu = np.concatenate(([a], nodes[(nodes > a) & (nodes < b)], [b]))
            mu = np.interp(np.linspace(0, len(mu) - 1, parts * (len(mu) - 1) + 1), np.arange(len(mu)), mu)
            density = self.irf.dispersion(energy, np.minimum(mu, np.nextafter(3.0, 0)), offset) * (mu <= 3.0)
            total += weight * float(np.sum(0.5 * (density[1:] + density[:-1]) * np.diff(mu)))
        return total

    def migrate_density(self, e, energy_reco, offset):
        """M / E averaged over the true bin, at many reconstructed energies."""
        return sum(
            w / energy * self.irf.dispersion(energy, energy_reco / energy, offset) for energy, w in self.energies[e]
        )

    def share(self, bounds, light, sigma):
        """Share of light that starts evenly in an interval (or at a place) and falls between two bounds."""
        a, b = bounds

        def falls(x):
            return normal_cdf((b - x) / sigma) - normal_cdf((a - x) / sigma)

        return mean_over(*light, falls, sigma) if isinstance(light, tuple) else falls(light)

    def true_pixels(self):
        grid = self.true.grid
        for j in range(grid.size):
            row, column = divmod(j, grid.shape[1])
            yield j, grid.lon_edges_deg[column : column + 2], grid.lat_edges_deg[row : row + 2]

    def counts(self, expected, points=()):
        """Expected counts of every reconstructed bin."""
        total = np.zeros((*self.reco.shape, expected.shape[-1]))
        for e in range(self.true.energy.size):
            for j, lon, lat in self.true_pixels():
                if expected[e, j].any():
                    self.add(total, e, expected[e, j], tuple(lon), tuple(lat))
            for lon, lat, strength in points:
                self.add(total, e, strength[e], lon, lat)
        return total

    def add(self, total, e, strength, lon, lat):
        middle = [0.5 * sum(x) if isinstance(x, tuple) else x for x in (lon, lat)]
        offset, cosine = self.offset(*middle), math.cos(math.radians(middle[1]))
        grid = self.reco.grid
        rows, columns = grid.shape
        share = np.zeros((rows, columns))
        for weight, sigma in self.psf(e, offset):
            east = tuple(x * cosine for x in lon) if isinstance(lon, tuple) else lon * cosine
            along = [self.share(short(grid.lon_edges_deg[c : c + 2]) * cosine, east, sigma) for c in range(columns)]
            across = [self.share(grid.lat_edges_deg[r : r + 2], lat, sigma) for r in range(rows)]
            share += weight * np.outer(across, along)
        for k in range(self.reco.energy.size):
            total[k] += self.migrate(e, k, offset) * share.reshape(-1, 1) * strength

    def densities(self, energy, lon, lat, expected, points=()):
        """Density of each event, per TeV and solid angle."""
        total = np.zeros((len(energy), expected.shape[-1]))
        for e in range(self.true.energy.size):
            for j, edge_lon, edge_lat in self.true_pixels():
                if expected[e, j].any():
                    middle = 0.5 * edge_lon.sum(), 0.5 * edge_lat.sum()
                    self.add_density(total, e, (energy, lon, lat), (middle, edge_lon, edge_lat), expected[e, j])
            for source_lon, source_lat, strength in points:
                self.add_density(total, e, (energy, lon, lat), ((source_lon, source_lat), None, None), strength[e])
        return total

    def add_density(self, total, e, events, light, strength):
        middle, edge_lon, edge_lat = light
        offset, cosine = self.offset(*middle), math.cos(math.radians(middle[1]))
        terms, migration = self.psf(e, offset), self.migrate_density(e, events[0], offset)
        for i, (lon, lat) in enumerate(zip(*events[1:], strict=True)):
            spread = 0.0
            for weight, sigma in terms:
                if edge_lon is None:
                    x, y = (lon - middle[0]) * cosine / sigma, (lat - middle[1]) / sigma
                    spread += weight * math.exp(-0.5 * (x * x + y * y)) / (2 * math.pi * sigma**2)
                else:
                    x, y = (edge_lon - lon) * cosine, edge_lat - lat
                    along = (normal_cdf(x[1] / sigma) - normal_cdf(x[0] / sigma)) / (x[1] - x[0])
                    across = (normal_cdf(y[1] / sigma) - normal_cdf(y[0] / sigma)) / (y[1] - y[0])
                    spread += weight * along * across
            if spread > 0:
                spread *= cosine / math.cos(math.radians(lat))
                total[i] += spread * migration[i] * strength


def discrete_densities(irf, axes, pointing, flux, window=(1.0, 1.3, 1.3), events=None):
    """Densities p(r) of GammaBayes for a flux (E, J) at bin centres, in its own measure, at events or all bin centres.

    The window: decades, deg of longitude and latitude.
    """
    energy, grid = axes.energy.centres_tev, axes.grid
    ratio = axes.energy.edges_tev[1:] / axes.energy.edges_tev[:-1]
    lon, lat = grid.lon_deg, grid.lat_deg
    steps = [
        np.diff(grid.lon_edges_deg)[j % grid.shape[1]] * np.diff(grid.lat_edges_deg)[j // grid.shape[1]]
        for j in range(grid.size)
    ]
    offset = [distance_deg((pointing.lon_deg, pointing.lat_deg), (lon[j], lat[j])) for j in range(grid.size)]
    if events is None:
        seen = np.repeat(energy, grid.size), np.tile(lon, len(energy)), np.tile(lat, len(energy))
    else:
        seen = events[0], (events[1] + 180.0) % 360.0 - 180.0, events[2]
    prior, density = np.zeros(axes.shape), np.zeros(len(seen[0]))
    for e in range(len(energy)):
        for j in range(grid.size):
            prior[e, j] = flux[e, j] * float(irf.area_cm2(energy[e], offset[j])) * energy[e] * ratio[e] * steps[j]
    prior /= prior.sum()
    for j in range(grid.size):
        rho = np.array([distance_deg((lon[i], lat[i]), (lon[j], lat[j])) for i in range(grid.size)])
        places, where = np.unique(np.stack(seen[1:], axis=1), axis=0, return_inverse=True)
        apart = np.array([distance_deg((x, y), (lon[j], lat[j])) for x, y in places])[where]
        near = (np.abs(seen[1] - lon[j]) < window[1]) & (np.abs(seen[2] - lat[j]) < window[2])
        for e in range(len(energy)):
            migration = irf.dispersion_raw(energy[e], energy / energy[e], offset[j]) / energy[e]
            n_psf = sum(p * s for p, s in zip(irf.psf(energy[e], offset[j], rho), steps, strict=True)) or 1.0
            n_ed = sum(m * x * q for m, x, q in zip(migration, energy, ratio, strict=True)) or 1.0
            own = irf.dispersion_raw(energy[e], seen[0] / energy[e], offset[j]) / energy[e]
            near_energy = np.abs(np.log10(seen[0] / energy[e])) < window[0]
            kernel = irf.psf(energy[e], offset[j], apart) * own * near * near_energy
            density += kernel / (n_psf * n_ed) * prior[e, j]
    return density if events is not None else density.reshape(axes.shape)
