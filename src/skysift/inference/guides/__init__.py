"""Guides: families of approximate posteriors, built in the frame of a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skysift.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.guides.base import Guide

__all__ = ["GUIDES", "build_guide"]

MOST_MODES = 2  # leading field numbers that a conditional guide lets bend
SUMMARY_DRAWS = 500


def build_guide(name: str, model: Model, start: Start, stream: Stream, *, published: bool = False) -> Guide:
    """Build an untrained guide: the Gaussian of the start. Where no norm is free, every guide is ``mvn``.

    Parameters
    ----------
    name : ``mvn``, ``iaf``, ``conditional_iaf`` or ``flow``
    model : bound to data
    start : gives the frame
    stream : of this guide's initial weights and of the draws that standardise its summaries
    published : the published form, norms independent of the field but for what a summary carries

    Raises
    ------
    InputError : an unknown name, no published form, or a model without the hook that the guide needs
    """
    if name not in GUIDES:
        raise InputError("fits", "guide", name, "a guide", nearest(name, GUIDES))
    if published and name == "flow":
        raise InputError(
            "fits", "published", "flow", "a guide that was published: mvn, iaf, conditional_iaf", "drop it"
        )
    # networks draw their weights from torch's global generator: leave no trace there
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream.number("weights"))
        guide = GUIDES[name](model, start, stream, published)
    for module in guide.modules:
        module.to(guide.whitening.centre.device)
    return guide


def _build_mvn(model: Model, start: Start, stream: Stream, published: bool) -> Guide:
    from skysift.inference.guides.mvn import GaussianGuide
    from skysift.inference.guides.whitening import Whitening

    frame = Whitening.from_start(model.parameters, start, "norm", independent=published)
    return GaussianGuide(frame, independent=published)


def _build_iaf(model: Model, start: Start, stream: Stream, published: bool) -> Guide:
    from skysift.inference.guides.field_first import FieldFirstGuide
    from skysift.inference.guides.transforms import IafTransform
    from skysift.inference.guides.whitening import Whitening

    frame = Whitening.from_start(model.parameters, start, "field", independent=published)
    if frame.lead == frame.size:
        return _build_mvn(model, start, stream, published)
    return FieldFirstGuide(frame, IafTransform(frame.size - frame.lead), independent=published)


def _build_conditional(model: Model, start: Start, stream: Stream, published: bool) -> Guide:
    from skysift.inference.guides.base import normal_noise
    from skysift.inference.guides.field_first import FieldFirstGuide
    from skysift.inference.guides.summary import summarise_field
    from skysift.inference.guides.transforms import IafTransform, ZukoTransform
    from skysift.inference.guides.whitening import Whitening

    fields = int(model.parameters.block_mask("field").sum())
    count = 0 if published else min(MOST_MODES, fields, model.parameters.size - fields)
    frame = Whitening.from_start(model.parameters, start, "field", independent=published, rotate=count > 0)
    noise = normal_noise(SUMMARY_DRAWS, frame.lead, stream.generator("summary"))
    summary = summarise_field(model, frame, noise)
    if frame.lead == frame.size:
        return _build_mvn(model, start, stream, published)
    norms = IafTransform(frame.size - frame.lead, summary.size + count)
    modes = ZukoTransform(count, splines=int(count == 1), affines=3 * int(count > 1)) if count else None
    return FieldFirstGuide(frame, norms, summary, modes, count, independent=published)


def _build_flow(model: Model, start: Start, stream: Stream, published: bool) -> Guide:
    from skysift.inference.guides.base import normal_noise
    from skysift.inference.guides.norms_first import NormsFirstGuide
    from skysift.inference.guides.summary import summarise_norms
    from skysift.inference.guides.transforms import ZukoTransform
    from skysift.inference.guides.whitening import Whitening

    frame = Whitening.from_start(model.parameters, start, "norm")
    if not frame.lead:
        return _build_mvn(model, start, stream, published)
    summary = None
    if frame.size > frame.lead:
        noise = normal_noise(SUMMARY_DRAWS, frame.lead, stream.generator("summary"))
        summary = summarise_norms(model, frame, noise)
    return NormsFirstGuide(frame, ZukoTransform(frame.lead, affines=3 * int(frame.lead > 1)), summary)


GUIDES: dict[str, Callable[[Model, Start, Stream, bool], Guide]] = {
    "conditional_iaf": _build_conditional,
    "flow": _build_flow,
    "iaf": _build_iaf,
    "mvn": _build_mvn,
}
