"""The page of a run: one file with everything inside, verdict first."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skysift import __version__, plots
from skysift.config.events.slices import EventReportSlice
from skysift.errors import SkysiftError
from skysift.steps.gather import MAXIMUM, NOT_A_POSTERIOR, FitRecord, set_of
from skysift.steps.ranks import CONTROLS, FitRanks
from skysift.steps.replicates import read_scores
from skysift.steps.report_answers import answer_rows, norm_rows
from skysift.steps.report_pictures import Picture, Row, Run, shown_data
from skysift.steps.report_verdicts import judge_fits, judge_record, spell_number
from skysift.storage.hdf5 import open_reader

__all__ = ["compose_page"]

TEMPLATES = Path(plots.__file__).parent / "page"
CALIBRATION_SHOWN = (
    ("n", "replicates"), ("truth", "truth"), ("mean", "mean"), ("scatter", "scatter"), ("mean_sd", "mean sd"),
    ("bias", "bias"), ("coverage_68", "68 % holds"), ("coverage_95", "95 % holds"), ("peak", "peak without prior"),
    ("sd_over_prior_sd", "sd / prior sd"), ("mean_log_z", "mean ln Z"), ("ratio_rmse", "ratio-map RMSE"),
    ("cpu_s", "CPU s"),
)  # fmt: skip


def compose_page(run: Run, pictures: Sequence[Picture], configuration: str, cost: Sequence[Row]) -> str:
    """Return the page as HTML: nothing is loaded from anywhere else.

    Parameters
    ----------
    run : folder, slice ``report``, fits and calibration rows
    pictures : of `draw_figures`
    configuration : the resolved configuration, as text
    cost : rows of the cost table

    Returns
    -------
    HTML text
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = spell_number
    text: str = environment.get_template("report.html").render(
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        version=__version__,
        run=run.settings.run,
        seed=run.settings.seed,
        observation=_describe_observation(run),
        verdicts=judge_fits(run.records),
        headline=_headline(run.records),
        misfits=_misfits(run),
        signal=run.signal,
        is_events=isinstance(run.settings, EventReportSlice),
        is_dark=any(c.template == "dark_matter" for parts in run.settings.models.values() for c in parts.values()),
        response=_in_section(pictures, "response"),
        sets=[_describe_set(run, name, pictures) for name in run.settings.truth],
        injection=[_embed(picture) for picture in pictures if picture.section == "sets"],
        data=[_describe_data(run, data, pictures) for data in shown_data(run.settings)],
        ranks=[_describe_ranks(run, one, pictures) for one in run.ranks],
        calibration_columns=[label for _, label in _calibration_shown(run)],
        warnings=_collect_warnings(run),
        evidence=_evidence(run),
        cost=_cost(cost),
        configuration=configuration,
        provenance=_provenance(run.records),
    )
    return text


def _describe_ranks(run: Run, one: FitRanks, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return what the page says about the trials of one fit on its own model's data."""
    colour = {"calibrated": "green", "not calibrated": "red"}.get(one.verdict, "amber")
    facts = []
    if one.batch is not None:
        facts = [f"{len(one.batch.numbers)} simulations", f"{one.failed} failed"]
        facts.append(f"{int(one.batch.is_flagged.sum())} called themselves not converged")
        without = [text.split(":")[0].replace("_", " ") for text in one.batch.unranked]
        facts += [f"not ranked: {' and '.join(without)}"] if without else []
    caught = [name for name in CONTROLS if one.found is not None and name not in one.blind]
    return {
        "fit": one.fit,
        "verdict": one.verdict or "missing",
        "colour": colour,
        "why": [*one.why, *([one.problem] if one.problem else [])],
        "facts": ", ".join(facts),
        "caught": ", ".join(caught),
        "figures": [_embed(picture) for picture in pictures if picture.name == f"ranks_{one.fit}"],
    }


def _headline(records: Iterable[FitRecord]) -> dict[str, str]:
    verdicts = [judge_record(record) for record in records]
    total = len(verdicts)
    words = [verdict.word for verdict in verdicts]
    tempered = words.count(NOT_A_POSTERIOR)
    counted = (
        (words.count("missing"), "missing"),
        (words.count("not converged"), "not converged"),
        (tempered, f"tempered, so not {'a posterior' if tempered == 1 else 'posteriors'}"),
        (words.count(MAXIMUM), "one point without a width"),
        (words.count("not checked"), "not checked"),
        (words.count("converged, with reservations"), "converged with reservations"),
    )
    told = "; ".join(f"{count} {word}" for count, word in counted if count)
    if not told:
        return {"colour": "green", "text": f"All {total} results converged" if total > 1 else "The fit converged"}
    colour = "red" if any(verdict.colour == "red" for verdict in verdicts) else "amber"
    usable = sum(word.startswith("converged") for word in words)
    return {"colour": colour, "text": f"{usable} of {total} results converged: {told}"}


def _describe_observation(run: Run) -> dict[str, Any]:
    """Return a few facts of the observation, as far as its file can be read."""
    path = run.folder / "observation.h5"
    try:
        if isinstance(run.settings, EventReportSlice):
            return _describe_event_observation(path)
        with open_reader(path, format="observation") as reader:
            edges = reader.read("energy_edges")
            region = reader.read("region")
            return {
                "nside": int(reader.attributes["nside"]),
                "pixels": int(region.sum()),
                "energies": f"{edges[0]:g}–{edges[-1]:g} GeV in {edges.size - 1} bin{'s' if edges.size > 2 else ''}",
                "warnings": [str(text) for text in reader.attributes.get("warnings", [])],
            }
    except (SkysiftError, OSError, KeyError) as error:
        return {"warnings": [f"observation.h5 cannot be read: {str(error).splitlines()[0]}"]}


def _describe_event_observation(path: Path) -> dict[str, Any]:
    with open_reader(path, format="event_observation") as reader:
        edges, times = reader.read("reconstructed/energy_edges"), reader.read("pointings/live_time")
        lon, lat = (reader.read(f"reconstructed/{name}_edges") for name in ("lon", "lat"))
        responses = ", ".join(dict.fromkeys(str(name) for name in reader.attributes["responses"]))
        facts = (
            f"{len(times)} pointing{'s' if len(times) > 1 else ''}, {times.sum() / 3600:g} h; response {responses}; "
            f"{lon.size - 1} × {lat.size - 1} pixels, {edges[0]:.3g}–{edges[-1]:.3g} TeV in {edges.size - 1} bins"
        )
        return {"facts": facts, "warnings": [str(text) for text in reader.attributes.get("warnings", [])]}


def _embed(picture: Picture) -> dict[str, str]:
    source = ""
    if picture.path is not None:
        source = "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode()
    words = {name: getattr(picture, name) for name in ("name", "title", "alt", "caption", "problem")}
    return words | {"src": source}


def _in_section(pictures: Sequence[Picture], section: str) -> list[dict[str, str]]:
    return [_embed(picture) for picture in pictures if picture.section == section]


def _describe_set(run: Run, name: str, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the calibration table and figures of one simulated set."""
    shown = _calibration_shown(run)
    rows = [row for row in run.calibration if row["set"] == name]
    parameters = [p for p in dict.fromkeys(row["parameter"] for row in rows) if not p.split("[")[0].endswith("_counts")]
    parameters.sort(key=lambda parameter: (parameter != run.signal, not parameter.endswith("_norm")))
    tables = [
        {
            "parameter": parameter,
            "unit": next(row["unit"] for row in rows if row["parameter"] == parameter),
            "rows": [_calibration_cells(row, shown) for row in rows if row["parameter"] == parameter],
        }
        for parameter in parameters
    ]
    truth = [f"{part} {drawn.norm:g}" for part, drawn in run.settings.truth[name].items()]
    count = sum(set_of(data) == name for data in run.settings.data)
    figures = _in_section(pictures, f"set:{name}")
    return {"name": name, "truth": ", ".join(truth), "count": count, "tables": tables, "figures": figures}


def _calibration_shown(run: Run) -> list[tuple[str, str]]:
    """Return the columns of calibration tables that hold anything."""
    return [(key, label) for key, label in CALIBRATION_SHOWN if any(_is_known(row.get(key)) for row in run.calibration)]


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _calibration_cell(row: Row, name: str) -> str:
    count, value = row["n"], row.get(name)
    if name == "n":
        return str(count)
    if name.startswith("coverage") and value is not None and 0 < count < 10:
        # few replicates make no percentage
        return f"{round(count * value)} of {count}"
    return spell_number(value, 7 if name == "mean_log_z" else 3)


def _calibration_cells(row: Row, shown: Sequence[tuple[str, str]]) -> dict[str, Any]:
    cells = [_calibration_cell(row, name) for name, _ in shown]
    if row["fit"] == "prior":
        return {"fit": "bare prior", "cells": ["–", *cells[1:]], "note": ""}
    notes = [
        f"{row[key]} {word}"
        for key, word in (("n_missing", "missing"), ("n_not_converged", "not converged"))
        if row[key]
    ]
    note = row.get("note") or ", ".join(notes)
    return {"fit": row["fit"], "cells": cells, "note": note}


def _describe_data(run: Run, data: str, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return answers, figures and details of one data set."""
    records = [record for record in run.records if record.data == data]
    there = [record for record in records if not record.problem]
    names = list(dict.fromkeys(name for record in there for name in record.quantities))
    derived = [name for name in names if name.split("[")[0].endswith(("_counts", "_fraction", "_intensity"))]
    if isinstance(run.settings, EventReportSlice):
        derived = [name for name in derived if name.endswith("_counts")]
        parameters = [name for name in names if name not in derived]
    else:
        parameters = [name for name in names if name.split("[")[0].endswith("_norm")]
    fits = [
        {
            "fit": record.fit,
            "verdict": judge_record(record),
            "problem": record.problem,
            "checks": [{"engine": engine, "row": check} for engine, check in record.checks],
            "p_values": _p_values(run, record),
            "figures": _in_section(pictures, f"fit:{record.fit}:{data}"),
        }
        for record in records
    ]
    return {
        "name": data,
        "is_first": set_of(data) != data,
        "answers": answer_rows(run.settings, records, run.signal) if run.signal else [],
        "columns": [{"fit": record.fit, "note": record.note} for record in there],
        "norms": norm_rows(run.settings, there, parameters),
        "derived": norm_rows(run.settings, there, derived),
        "figures": _in_section(pictures, f"data:{data}"),
        "fits": fits,
    }


def _p_values(run: Run, record: FitRecord) -> list[dict[str, Any]]:
    """Return the predictive p-values of one fit; odd ones lie outside 0.01 to 0.99."""
    scores = read_scores(run.folder, record.fit, record.data)
    # what no replica reaches is only bounded
    least = 1 / (1 + scores["draws"]) if scores else 0.0
    return [
        {
            "name": name.replace("_", " "),
            "value": f"≤ {spell_number(least, 2)}" if value <= 1.0001 * least else spell_number(value),
            "is_odd": not 0.01 <= value <= 0.99,
        }
        for name, value in scores.get("p_values", {}).items()
    ]


def _misfits(run: Run) -> list[dict[str, str]]:
    """Return the fits shown in detail whose predictive checks say that the model does not describe the data."""
    rows = []
    for record in run.records:
        if record.data not in shown_data(run.settings) or record.problem:
            continue
        odd = [f"{item['name']} {item['value']}" for item in _p_values(run, record) if item["is_odd"]]
        if odd:
            rows.append({"fit": record.fit, "data": record.data, "text": ", ".join(odd)})
    return rows


def _collect_warnings(run: Run) -> list[dict[str, str]]:
    """Return each warning once, with the fits that gave it."""
    found: dict[str, list[str]] = {}
    for record in run.records:
        for text in record.warnings:
            found.setdefault(text, []).append(f"{record.fit}/{record.data}")
    rows = []
    for text, places in found.items():
        more = f" and {len(places) - 4} more" if len(places) > 4 else ""
        rows.append({"text": text, "places": ", ".join(places[:4]) + more})
    return rows


def _evidence(run: Run) -> list[dict[str, str]]:
    shown = shown_data(run.settings)
    return [
        {
            "fit": record.fit,
            "note": record.note,
            "data": record.data,
            "diffuse": ", ".join(_modulated(run, record.base)),
            "log_z": spell_number(record.log_z, 7),
            "error": spell_number(record.log_z_error, 2),
            "method": record.log_z_method or "–",
        }
        for record in run.records
        if record.data in shown and not record.problem and not record.has_systematic
    ]


def _modulated(run: Run, fit: str) -> list[str]:
    if isinstance(run.settings, EventReportSlice):
        return [f"{name} × exp(GP)" if part.modulate else name for name, part in run.settings.models[fit].items()]
    components = run.settings.models[fit].values()
    return [f"{c.template} × exp(GP)" for c in components if c.modulate] or ["rigid templates"]


def _cost(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the cost table: mean over data sets per fit and stage."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in {"fit", "data", "stage"}))
    columns.sort(key=lambda name: (name not in {"cpu_s", "wall_s"}, name))
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["fit"], row["stage"]), []).append(row)
    table = []
    for (fit, stage), members in groups.items():
        values = [[row[name] for row in members if row.get(name) is not None] for name in columns]
        cells = [spell_number(sum(v) / len(v)) if v else "–" for v in values]
        table.append({"fit": fit, "stage": stage, "n": len(members), "cells": cells})
    return {"columns": columns, "rows": table}


def _provenance(records: Sequence[FitRecord]) -> list[tuple[str, str]]:
    """Return what made the first posterior that is there."""
    found: Mapping[str, Any] = next((record.provenance for record in records if record.provenance), {})
    rows = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} {item}" for key, item in value.items())
        else:
            text = "" if value is None else str(value)
        if text:
            rows.append((name, text))
    return rows
