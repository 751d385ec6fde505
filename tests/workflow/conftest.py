"""A copy of the repository in which Snakemake runs a stand-in for `skysift`, fast and recording what it read."""

import pytest
from tests.workflow.checkouts import Checkout, copy_repository


@pytest.fixture
def checkout(tmp_path, repository):
    """A fresh copy of what the workflow needs, without results."""
    return Checkout(copy_repository(repository, tmp_path / "clone"))


@pytest.fixture
def events(checkout):
    """A small configuration of an event analysis with two pointings, two fits and three chunks, in the checkout."""
    path = checkout.folder / "events.yaml"
    path.write_text(
        "run: events\n"
        "observation:\n"
        "  instrument: ctao\n"
        "  irf: analytic\n"
        "  pointings: [{lon: 0 deg, lat: 0 deg, time: 50 h}, {lon: 1 deg, lat: 0 deg, time: 50 h}]\n"
        "  reconstructed:\n"
        "    energy: {range: [0.5 TeV, 20 TeV], points: 5}\n"
        "    lon: {range: [-0.8 deg, 0.8 deg], step: 0.4 deg}\n"
        "    lat: {range: [-0.8 deg, 0.8 deg], step: 0.4 deg}\n"
        "simulate: {replicates: 2, events: {background: 60, diffuse: 40}}\n"
        "model:\n"
        "  components:\n"
        "    diffuse: {sky: synthetic_diffuse}\n"
        "    background: {instrument: background}\n"
        "chunks: 3\n"
        "fits:\n"
        "  first: [laplace]\n"
        "  second: [{nested: {live: 100}}]\n"
    )
    return path


@pytest.fixture
def mine(checkout):
    """A small configuration with two fits, two replicates and sidebands, in the checkout."""
    path = checkout.folder / "mine.yaml"
    path.write_text(
        "run: mine\n"
        "observation: {data: synthetic, nside: 32, region: {radius: 20 deg, mask_plane: 2 deg}}\n"
        "simulate: {replicates: 2, truth: {smooth: 8, gce: 0.9}}\n"
        "model:\n"
        "  components:\n"
        "    smooth: {template: p6v11, norm: {lognormal: [12.3, 0.5]}}\n"
        "    gce: {template: nfw_squared, norm: {uniform: [0, 1.5]}}\n"
        "fits:\n"
        "  first: [map, {svi: {guide: mvn}}]\n"
        "  second: [map, laplace]\n"
        "systematics: {sidebands: {fits: [second], longitudes: [30 deg, -30 deg]}}\n"
    )
    return path
