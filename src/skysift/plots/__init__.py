"""Pictures that people look at first; import the modules below where a figure is made."""

__all__: list[str] = []
