"""What is generated from the types is in step with them, complete, and true."""

import dataclasses
import importlib
import json
from typing import get_args

import jsonschema
import pytest

from skysift.config import load
from skysift.config.analysis import Analysis
from skysift.config.engines import ENGINES, EngineStep
from skysift.config.lookup import known_keys, section_types
from skysift.config.observation import DATA_SETS
from skysift.config.reader import read_yaml
from skysift.config.reference import _find_sections, reference_text
from skysift.config.schema import schema_text
from skysift.config.section import Section
from skysift.errors import InputError
from skysift.steps import schema


def sections(base=Section):
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


SECTIONS = [section for section in sections() if not section.__name__.startswith("_")]
SHIPPED = ["config/demo.yaml", "config/smoke/fermi.yaml", "config/fermi_gp.yaml", "config/fermi_gp_worlds.yaml",
           "config/fermi_inner_galaxy.yaml", "config/smoke/nptf.yaml", "config/fermi_nptf.yaml",
           "config/fermi_gp_nptf.yaml"]  # fmt: skip


@pytest.mark.parametrize("relative", schema.GENERATED, ids=str)
def test_generated_files_are_in_step_with_the_types(repository, relative):
    """A failure prints the difference; `skysift schema --write` mends it."""
    schema._compare(repository / relative, schema.GENERATED[relative]())


def test_a_file_out_of_step_is_told_with_the_difference_and_the_remedy(tmp_path, capsys):
    schema.run(write=True, root=tmp_path)
    schema.run(root=tmp_path)
    path = tmp_path / "config" / "README.md"
    path.write_text(path.read_text().replace("| `seed` |", "| `sed` |"))
    with pytest.raises(InputError, match="skysift schema --write"):
        schema.run(root=tmp_path)
    assert "-| `sed` |" in capsys.readouterr().err


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_has_a_description_and_an_example(section):
    for name, info in section.model_fields.items():
        assert info.description, name
        assert info.examples is not None, name
        suffix = name.rsplit("_", 1)[-1]
        if suffix in ("deg", "rad", "gev"):
            assert info.json_schema_extra["unit"], name
            assert info.alias == name.removesuffix(f"_{suffix}"), name


def test_every_key_is_in_the_reference():
    text = reference_text()
    for section, paths in _find_sections(Analysis, "", {}).items():
        if "engine" not in section.model_fields:
            table = text.split(f"### `{paths[0]}`" if paths[0] else "### Top level")[1].split("###")[0]
            assert all(f"| `{name}` |" in table for name in known_keys(section, [])), paths[0]


@pytest.mark.parametrize("relative", SHIPPED)
def test_the_schema_accepts_what_is_shipped(repository, relative):
    checker = jsonschema.Draft202012Validator(json.loads(schema_text()))
    # the worlds extend the published experiment: only together are they an analysis
    base = [repository / "config/fermi_gp.yaml"] if relative.endswith("worlds.yaml") else []
    analysis = load([*base, repository / relative])
    if base:
        assert [error.message for error in checker.iter_errors(analysis.plain())] == []
        return
    for data in (read_yaml(repository / relative).data, analysis.plain()):
        assert [error.message for error in checker.iter_errors(data)] == []


@pytest.mark.parametrize(
    "wrong",
    [{"sed": 1}, {"seed": "x"}, {"fits": {"a": ["nest"]}}, {"observation": {"region": {"radius": 20}}}, {"run": "a b"}],
    ids=str,
)
def test_the_schema_refuses_what_is_wrong(repository, wrong):
    checker = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert list(checker.iter_errors(read_yaml(repository / "config/demo.yaml").data | wrong))


def test_the_engines_have_the_settings_that_are_offered():
    """Names and defaults here are those of the engines; an engine may have more."""
    for step in section_types([get_args(EngineStep)[0]]):
        engine = get_args(step.model_fields["engine"].annotation)[0]
        settings = importlib.import_module(f"skysift.inference.{engine}").Settings
        theirs = {field.name: field.default for field in dataclasses.fields(settings)}
        for name, info in step.model_fields["settings"].annotation.model_fields.items():
            assert name in theirs, f"{engine}.{name}"
            if not info.is_required():
                assert info.default == theirs[name], f"{engine}.{name}"


def test_every_engine_has_settings():
    assert [
        get_args(step.model_fields["engine"].annotation)[0] for step in section_types([get_args(EngineStep)[0]])
    ] == list(ENGINES)


def test_the_data_sets_have_the_maps_that_are_offered():
    from skysift.instruments.fermi import dataset
    from skysift.sky import synthetic

    for role in ("template", "mask"):
        names = sorted(member.name for member in dataset.DATASET if member.role == role)
        assert sorted(DATA_SETS["fermi"][f"{role}s"]) == names
    assert sorted(DATA_SETS["synthetic"]["templates"]) == sorted(synthetic.TEMPLATES)
    assert sorted(DATA_SETS["synthetic"]["masks"]) == sorted(synthetic.MASKS)
