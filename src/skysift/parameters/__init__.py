"""Parameters: everything about a model's unknowns that is not physics."""

from skysift.parameters.collection import Parameter, Parameters

__all__ = ["Parameter", "Parameters"]
