"""Model files written and read again: by skysift without loss, by Gammapy as the same models."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from tests.peers import import_peer

from skysift.config.models import (
    KINDS,
    ModelFile,
    ParameterDeclaration,
    PartDeclaration,
    PriorDeclaration,
    SourceDeclaration,
    order_expressions,
    read_models,
    write_models,
    yaml_models,
)
from skysift.config.models.declarations import BackgroundDeclaration
from skysift.errors import InputError

NODES = (0.1, 1.0, 30.0)
# Gammapy divides by the difference of the two indices of a smooth break, and does not write the value of a constant.
FACTORS = {"e": 1.0, "eta": 1.0, "index2": 1.3, "value": 1.0}
EXPRESSION = "0.5 * 'LS I 61+303'.spectral.amplitude"


def made(role, tag, **changed):
    """Return a part of a kind with numbers of its own."""
    kind = next(kind for kind in KINDS if (kind.role, kind.tag) == (role, tag))
    parameters = tuple(
        ParameterDeclaration(
            one.name, one.value * FACTORS.get(one.name, 1.1), one.unit, 0.125, one.low, one.high,
            one.is_frozen, natural_unit=one.unit,
        )
        for one in kind.parameters
    )  # fmt: skip
    tables = {}
    if tag in ("template", "piecewise-norm") and role == "spectral":
        tables["energy"] = NODES
    if tag == "template" and role == "spectral":
        tables["values"] = (1e-10, 1e-12, 1e-17)
    if tag == "ebl-norm":
        tables = {"energy": NODES, "param": (0.1, 0.2), "values": (0.9, 0.8, 0.5, 0.8, 0.6, 0.3)}
    if tag == "piecewise-norm":
        parameters = tuple(ParameterDeclaration(f"norm_{number}", 1.0 + number) for number in range(len(NODES)))
    settings = {"interp": "log"} if tag == "piecewise-norm" else {}
    frame = "galactic" if role == "spatial" and tag != "const" else None
    part = PartDeclaration(tag, parameters, tables, settings, frame)
    return replace(part, parameters=tuple(replace(one, **changed.get(one.name, {})) for one in parameters))


def spectrum(kind):
    """Return a spectrum of a kind; norms multiply a power law, as Gammapy wants it."""
    alone = made("spectral", kind.tag)
    if not kind.is_norm:
        return alone
    return PartDeclaration("compound", settings={"operator": "mul"}, parts=(made("spectral", "pl"), alone))


def models_of_everything():
    """Return sources of all kinds that need no file, with links, priors, an expression, a compound, a background."""
    kinds = [kind for kind in KINDS if kind.role == "spectral" and kind.tag not in ("scale", "compound", "templateND")]
    shapes = [kind.tag for kind in KINDS if kind.role == "spatial" and not kind.needs and kind.tag != "const-flux"]
    curves = ["const", "linear", "exp-decay", "gauss", "powerlaw", "sinus"]
    sources = [
        SourceDeclaration(f"source {kind.tag}", spectrum(kind), made("spatial", shapes[number % len(shapes)]))
        for number, kind in enumerate(kinds)
    ]
    prior = PriorDeclaration("normal", (2.0, 0.25), 0.5)
    others = {
        kind: PriorDeclaration(kind, numbers)
        for kind, numbers in {
            "uniform": (0.0, 5.0),
            "loguniform": (1e-13, 1e-11),
            "generalised_normal": (1.0, 2.0, 0.3),
        }.items()
    }
    first = made(
        "spectral",
        "pl",
        index={"prior": prior, "link": "a"},
        amplitude={"prior": others["loguniform"], "unit": "cm-2 s-1 GeV-1"},
    )
    second = made("spectral", "pl", index={"prior": prior, "link": "a"}, amplitude={"expression": EXPRESSION})
    third = made(
        "spectral", "ecpl", index={"prior": others["uniform"]}, lambda_={"prior": others["generalised_normal"]}
    )
    compound = PartDeclaration(
        "compound", settings={"operator": "mul"}, parts=(made("spectral", "lp"), made("spectral", "pl-norm"))
    )
    sources += [
        SourceDeclaration("LS I 61+303", first, made("spatial", "point"), made("temporal", "const")),
        SourceDeclaration("second", second, made("spatial", "gauss", sigma={"low": None}), datasets=("south",)),
        SourceDeclaration(
            "third", third, made("spatial", "disk"), apply_irf={"exposure": True, "psf": False, "edisp": True}
        ),
        SourceDeclaration("compound", compound, made("spatial", "shell")),
        *(
            SourceDeclaration(f"curve {tag}", made("spectral", "pl"), made("spatial", "point"), made("temporal", tag))
            for tag in curves
        ),
        BackgroundDeclaration("sky noise", made("spectral", "pl-norm"), datasets=("south",)),
    ]
    return ModelFile(tuple(sources))


def with_covariance(models, seed):
    names = models.parameters()
    rng = np.random.default_rng(seed)
    free = np.array([not one.is_frozen for one in names.values()])
    root = rng.normal(size=(len(names), len(names))) * free[:, None]
    matrix = root @ root.T
    return replace(models, covariance=tuple(map(tuple, matrix.tolist())))


def plain(models):
    """Return components without where they are written and what came from XML."""

    def part(one):
        return (
            None if one is None else replace(one, settings={k: v for k, v in one.settings.items() if k != "is_factor"})
        )

    return [
        replace(
            one,
            place="",
            origin=None,
            spectral=part(one.spectral),
            spatial=part(one.spatial),
            temporal=part(one.temporal),
        )
        for one in models.components
    ]


def test_yaml_written_is_yaml_read(tmp_path, seed):
    models = with_covariance(models_of_everything(), seed)
    write_models(models, tmp_path / "all.yaml")
    again = read_models(tmp_path / "all.yaml")
    assert not again.warnings
    assert plain(again) == plain(models)
    assert again.covariance == models.covariance
    (name,) = order_expressions(again)
    assert name == "second.spectral.amplitude"
    # A second time it is the same text.
    write_models(again, tmp_path / "again.yaml")
    texts = [(tmp_path / name).read_text().replace("again", "all") for name in ("all.yaml", "again.yaml")]
    assert texts[0] == texts[1]


def read_by(peer, path):
    """Return Gammapy's reading; it evaluates every light curve far from its time to learn its unit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peer.Models.read(path)


def test_gammapy_reads_the_same_models(tmp_path, seed):
    peer = import_peer("gammapy.modeling.models")
    models = with_covariance(models_of_everything(), seed)
    write_models(models, tmp_path / "all.yaml")
    theirs = read_by(peer, tmp_path / "all.yaml")
    ours = models.parameters()
    assert len(theirs.parameters) == len(ours)
    for (name, one), other in zip(ours.items(), theirs.parameters, strict=True):
        assert (other.name, other.value) == (one.name, one.value), name
        assert other.unit == units.Unit(one.unit), name
        assert other.frozen == (one.is_frozen or one.expression is not None), name
        # Gammapy takes the ends of such priors for limits.
        has_ends = one.prior is not None and one.prior.kind in ("uniform", "loguniform")
        for limit, found in () if has_ends else ((one.low, other.min), (one.high, other.max)):
            assert math.isnan(found) if limit is None else found == limit, name
        assert (other.prior is None) == (one.prior is None)
        if one.prior is not None:
            assert [item.value for item in other.prior.parameters] == list(one.prior.numbers)
            assert other.prior.weight == one.prior.weight
    linked = [theirs["LS I 61+303"].spectral_model.index, theirs["second"].spectral_model.index]
    assert linked[0] is linked[1]
    # Gammapy keeps one row for linked parameters, the last one read.
    np.testing.assert_allclose(theirs["third"].covariance.data, _block(models, "third."), rtol=1e-12)
    assert theirs["third"].apply_irf == {"exposure": True, "psf": False, "edisp": True}
    assert theirs["second"].datasets_names == ["south"]


def _block(models, prefix):
    rows = [number for number, name in enumerate(models.parameters()) if name.startswith(prefix)]
    return np.array(models.covariance)[np.ix_(rows, rows)]


def test_models_of_gammapy_are_read_without_loss(tmp_path, seed):
    peer = import_peer("gammapy.modeling.models")
    write_models(with_covariance(models_of_everything(), seed), tmp_path / "all.yaml")
    theirs = read_by(peer, tmp_path / "all.yaml")
    for full in (False, True):
        theirs.write(tmp_path / "theirs.yaml", full_output=full, overwrite=True)
        ours = read_models(tmp_path / "theirs.yaml")
        values = [one.value for one in ours.parameters().values()]
        assert values == [one.value for one in theirs.parameters]
        assert [one.is_frozen for one in ours.parameters().values()] == [one.frozen for one in theirs.parameters]
        np.testing.assert_array_equal(np.array(ours.covariance), theirs.covariance.data)
        assert not ours.warnings


def test_sum_of_shapes_is_sources_linked_in_all_but_amplitude():
    parts = (made("spatial", "gauss"), made("spatial", "point"))
    shape = PartDeclaration("sum", tables={"weights": (0.25, 0.75)}, parts=parts)
    text = yaml_models(ModelFile((SourceDeclaration("HESS J0", made("spectral", "pl"), shape),)))
    assert "HESS J0 part 2.spectral.amplitude: 3.0 * 'HESS J0 part 1'.spectral.amplitude" in text
    assert text.count("link: HESS J0.index") == 2


def test_no_place_to_write_is_said(tmp_path):
    with pytest.raises(InputError, match="a place to write"):
        write_models(models_of_everything(), tmp_path / "nowhere" / "all.yaml")
