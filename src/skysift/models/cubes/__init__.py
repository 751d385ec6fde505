"""Counts cubes: spectral and spatial models folded through a response, compared with counts."""
