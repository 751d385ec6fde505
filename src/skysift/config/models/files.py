"""Model files of any layout."""

from __future__ import annotations

from pathlib import Path

from skysift.config.models.declarations import ModelFile
from skysift.config.models.reader import read_yaml_models
from skysift.config.models.xml_reader import read_xml_models

__all__ = ["read_models"]


def read_models(path: Path, *, is_strict: bool = False) -> ModelFile:
    """Return what a model file declares, in the units of the file.

    Parameters
    ----------
    path : YAML in the layout of Gammapy, with its covariance beside it; or XML of ctools, gammalib or the Fermi tools
        (``.xml``, ``.xml.gz``)
    is_strict : whether what would be repaired with a warning is refused

    Raises
    ------
    InputError : no such file, not of its layout, or an entry without meaning
    """
    is_xml = ".xml" in path.suffixes[-2:]
    return (read_xml_models if is_xml else read_yaml_models)(path, is_strict=is_strict)
