"""What is out there: templates, Gaussian processes, point-source populations, a synthetic sky."""

__all__: list[str] = []
