"""Model files of others: what they declare, read and written without loss."""

from skysift.config.models.declarations import (
    BackgroundDeclaration,
    ModelFile,
    ParameterDeclaration,
    PartDeclaration,
    PriorDeclaration,
    SourceDeclaration,
    TemplateDeclaration,
)  # fmt: skip
from skysift.config.models.expressions import Expression, Term
from skysift.config.models.files import read_models
from skysift.config.models.links import check_datasets, order_expressions
from skysift.config.models.reader import interpret_models
from skysift.config.models.tags import KINDS, find_kind
from skysift.config.models.writer import split_sums, write_models, yaml_models
from skysift.config.models.xml_writer import xml_models

__all__ = [
    "KINDS", "BackgroundDeclaration", "Expression", "ModelFile", "ParameterDeclaration", "PartDeclaration",
    "PriorDeclaration", "SourceDeclaration", "TemplateDeclaration", "Term", "check_datasets", "find_kind",
    "interpret_models", "order_expressions", "read_models", "split_sums", "write_models", "xml_models", "yaml_models",
]  # fmt: skip
