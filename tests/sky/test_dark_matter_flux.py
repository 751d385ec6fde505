"""Photons of dark matter: the analytic continuum, the line, tables of users, and fluxes with their units."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from skysift.errors import InputError
from skysift.sky.dark_matter.channels import Bergstrom, Line, TableChannel, interpret_channels
from skysift.sky.dark_matter.flux import AnnihilationSpectrum, DecaySpectrum
from skysift.storage.sky_files import read_named_table

EDGES = np.geomspace(0.02, 5.0, 12)


def bergstrom(energy, mass):
    x = energy / mass
    return 0.73 * x**-1.5 * math.exp(-7.8 * x) / mass if x < 1 else 0.0


def made_table(masses=(0.5, 1.0, 4.0)):
    log10_x = np.linspace(-6.0, 0.0, 61)
    values = np.stack([10.0 ** (-0.3 * log10_x) * (1 - 10**log10_x) * (1 + 0.3 * np.log(m)) for m in masses])
    return TableChannel(*(torch.as_tensor(part) for part in (np.array(masses), log10_x, values)))


def test_continuum_is_the_published_one_and_ends_at_the_mass():
    channel, mass = Bergstrom(), 1.3
    energies = np.array([0.03, 0.4, 1.29, 1.31])
    np.testing.assert_allclose(channel.density(energies, mass), [bergstrom(e, mass) for e in energies], rtol=1e-13)
    wanted = [quad(bergstrom, a, min(b, mass), (mass,))[0] if a < mass else 0 for a, b in pairwise(EDGES)]
    np.testing.assert_allclose(channel.integrals(EDGES, mass), wanted, rtol=1e-10)


def test_line_is_two_photons_in_the_bin_of_the_mass_or_the_next():
    middle = math.sqrt(EDGES[3] * EDGES[4])
    photons = Line().integrals(EDGES, torch.tensor([EDGES[3], 1.0, 6.0, middle], dtype=torch.float64))
    assert photons.sum(-1).tolist() == pytest.approx([2.0, 2.0, 0.0, 2.0], abs=1e-12)
    assert photons[3, 3] == pytest.approx(2.0, abs=1e-12)
    # at an edge: by the distance to the middles of both bins
    low, high = (math.log(EDGES[3] / EDGES[2]), math.log(EDGES[4] / EDGES[3]))
    assert photons[0, 2:4].tolist() == pytest.approx([2 * high / (low + high), 2 * low / (low + high)])
    assert Line().integrals([0.5, 2.0], 1.0).tolist() == [2.0]
    assert Line().integrals([0.5, 2.0], torch.tensor([1.0, 3.0])).tolist() == [[2.0], [0.0]]


def test_line_moves_without_jumps_and_stays_where_it_is():
    """Its mean in ln E is the mass between the outer middles; from mass to mass nothing jumps."""
    edges = np.geomspace(0.1, 10.0, 21)
    middles = torch.tensor(0.5 * np.log(edges[1:] * edges[:-1]))
    mass = torch.linspace(0.12, 8.0, 4001, dtype=torch.float64)
    photons = Line().integrals(edges, mass)
    torch.testing.assert_close(photons @ middles, 2 * mass.log(), rtol=0, atol=1e-12)
    assert (photons >= 0).all()
    assert photons.diff(dim=0).abs().max() < 0.2


def test_table_is_bilinear_and_its_integrals_are_exact():
    table, mass = made_table(), 0.8
    share = math.log(0.8 / 0.5) / math.log(2.0)
    row = (table.values[0] * (1 - share) + table.values[1] * share).numpy()

    def density(energy):
        place = math.log10(energy / mass)
        return np.interp(place, table.log10_x.numpy(), row, right=0.0) / (energy * math.log(10)) if place <= 0 else 0.0

    energies = np.array([1e-3, 0.1, 0.7, 0.9])
    np.testing.assert_allclose(table.density(energies, mass), [density(e) for e in energies], rtol=1e-12)
    nodes = mass * 10 ** table.log10_x.numpy()
    for low, high, found in zip(EDGES[:-1], EDGES[1:], table.integrals(EDGES, mass).tolist(), strict=True):
        inner = nodes[(nodes > low) & (nodes < high)]
        ends = np.concatenate(([low], inner, [high]))
        wanted = sum(quad(density, a, b)[0] for a, b in pairwise(ends))
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    # All photons of an axis that begins below the table.
    whole = float(np.trapezoid(row, table.log10_x.numpy()))
    assert float(table.integrals([1e-9, 10.0], mass)[0]) == pytest.approx(whole, rel=1e-12)


def test_mass_is_free_and_batched():
    """Derivatives where no bin edge crosses the mass; there they are those of the bin's content."""
    mass = torch.tensor([0.7, 2.3], dtype=torch.float64, requires_grad=True)
    for channel in (made_table(), Bergstrom(), Line()):
        assert torch.autograd.gradcheck(
            lambda m, c=channel: c.integrals(EDGES, m), (mass,), eps=1e-7, rtol=1e-5, atol=1e-7
        )
        batch = channel.integrals(EDGES, mass.detach())
        alone = torch.stack([channel.integrals(EDGES, value) for value in mass.tolist()])
        torch.testing.assert_close(batch, alone, rtol=1e-12, atol=1e-15)
    with pytest.raises(InputError, match="mass"):
        made_table().integrals(EDGES, 4.1)


def test_fluxes_have_their_units():
    """One annihilation line: sigma-v / (8 pi m^2) J photons times two, m in GeV; all as plain arithmetic."""
    spectrum = AnnihilationSpectrum({"line": Line()}, mass_tev=1.0, cross_section_cm3_s=3e-26)
    flux = float(spectrum.integrals([0.5, 2.0])[0]) * 1e21
    assert flux == pytest.approx(3e-26 / (8 * math.pi * 1000.0**2) * 2 * 1e21, rel=1e-12)
    half = AnnihilationSpectrum({"line": Line()}, 1.0, 3e-26, is_self_conjugate=False)
    assert float(half.integrals([0.5, 2.0])[0]) * 2e21 == pytest.approx(flux, rel=1e-12)
    decay = DecaySpectrum({"line": Line()}, mass_tev=2.0, lifetime_s=1e27)
    found = decay.integrals([0.5, 0.99, 1 / 0.99, 3.0])
    assert found[1] == pytest.approx(2 / (4 * math.pi * 2000.0 * 1e27), rel=1e-12)
    assert float((found[0] + found[2]) / found[1]) < 1e-12
    energies = np.array([0.1, 0.5])
    continuum = AnnihilationSpectrum({"b": Bergstrom()}, 1.0, 2e-26).density(energies)
    wanted = [2e-26 / (8 * math.pi * 1e6) * bergstrom(e, 1.0) for e in energies]
    np.testing.assert_allclose(continuum, wanted, rtol=1e-12)


def test_units_agree_with_a_library_of_units():
    from astropy import units as u

    flux = 3e-26 * u.Unit("cm3 s-1") / (8 * np.pi * (1.5 * u.TeV) ** 2) * 2 * 1e21 * u.Unit("GeV2 cm-5")
    found = AnnihilationSpectrum({"line": Line()}, 1.5, 3e-26).integrals([1.0, 2.0]) * 1e21
    assert float(found[0]) == pytest.approx(flux.to_value("cm-2 s-1"), rel=1e-12)
    flux = 2 * 1e22 * u.Unit("GeV cm-2") / (4 * np.pi * 1.5 * u.TeV * 1e27 * u.s)
    found = DecaySpectrum({"line": Line()}, 1.5, 1e27).integrals([0.5, 1.0]) * 1e22
    assert float(found[0]) == pytest.approx(flux.to_value("cm-2 s-1"), rel=1e-12)


def test_channels_mix_by_their_branching_ratios():
    channels = {"continuum": Bergstrom(), "line": Line()}
    share = torch.tensor([0.25, 1.0], dtype=torch.float64, requires_grad=True)
    mixed = AnnihilationSpectrum(channels, 1.0, branching={"continuum": share, "line": 1 - share})
    parts = [AnnihilationSpectrum({name: channel}, 1.0).integrals(EDGES) for name, channel in channels.items()]
    torch.testing.assert_close(mixed.integrals(EDGES)[0], 0.25 * parts[0] + 0.75 * parts[1])
    torch.testing.assert_close(mixed.integrals(EDGES)[1], parts[0])
    (slope,) = torch.autograd.grad(mixed.integrals(EDGES).sum(), share)
    torch.testing.assert_close(slope, (parts[0] - parts[1]).sum().expand(2))
    for branching in ({}, {"line": 1.0}, {"continuum": 0.5, "line": 0.3, "w": 0.2}):
        with pytest.raises(InputError, match="branching"):
            AnnihilationSpectrum(channels, 1.0, branching=branching)


HEADER = "mDM\tLog[10,x]\teL\tb\t\\[Tau]\n"


def text_table(header=HEADER, rows=None):
    lines = rows or [(m, x, 0.1, m * 1e-3 * (1 - 10**x), 2.0) for m in (500.0, 1000.0) for x in (-2.0, -1.0, 0.0)]
    return header + "".join("\t".join(f"{value:g}" for value in row) + "\n" for row in lines)


@pytest.mark.parametrize("header", [HEADER, '# "mDM" "log10x" "eL" "b" "tau"\n', "# spectra\n# m, x, eL, b, tau\n"])
def test_text_tables_are_read_as_they_are_published(tmp_path, header):
    path = tmp_path / "spectra.dat"
    path.write_text(text_table(header))
    names, rows = read_named_table(path)
    channel = interpret_channels(names, rows, ["b"], str(path))["b"]
    assert channel.mass_tev.tolist() == [0.5, 1.0]
    assert channel.log10_x.tolist() == [-2.0, -1.0, 0.0]
    assert float(channel.density([0.1], 1.0)[0]) == pytest.approx(0.9 / (0.1 * math.log(10)))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (text_table("mDM Log[10,x] eL b\n"), "header"), (text_table("\n"), "header"), (HEADER, "rows"),
        (text_table() + "1 2 3\n", "line 8"), (text_table() + "oops\n", "line 8"),
    ],
)  # fmt: skip
def test_damaged_text_tables_are_refused(tmp_path, text, word):
    path = tmp_path / "spectra.dat"
    path.write_text(text)
    with pytest.raises(InputError, match=word):
        read_named_table(path)


def test_tables_without_a_grid_or_the_channel_are_refused(tmp_path):
    path = tmp_path / "spectra.dat"
    path.write_text(text_table())
    names, rows = read_named_table(path)
    with pytest.raises(InputError, match="did you mean 'b'"):
        interpret_channels(names, rows, ["bb"], "made")
    with pytest.raises(InputError, match="log10 x"):
        interpret_channels(names, rows[:-1], ["b"], "made")
    rows[0, 3] = -1.0
    with pytest.raises(InputError, match="negative"):
        interpret_channels(names, rows, ["b"], "made")
