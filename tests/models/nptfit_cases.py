"""Small skies on which NPTFit's own compiled code was run, and the program that ran it.

Where NPTFit is installed (https://github.com/bsafdi/NPTFit; with numpy below 1.24, and GSL),

    LD_PRELOAD=libmvec.so.1 PYTHONPATH=.../site-packages/NPTFit python tests/models/nptfit_cases.py

prints what `test_beside_nptfit.py` holds: its modules import each other by bare names and lack a library. Nothing of
skysift has a part in it. Two and three breaks are single precision there, so numbers are chosen that single precision
holds exactly in each region of the exposure: slopes that differ from one by powers of two, breaks that do so from each
other.
"""

import json

import numpy as np

__all__ = ["CASES", "EXPOSURE", "FULL_SKY", "SMOOTH", "TEMPLATES", "nptfit"]

#: Three regions of four pixels, whose means are 0.5, 1 and 1.5 times the mean of all, in no order.
_RATIOS = np.array([14, 30, 46, 44, 15, 34, 50, 28, 18, 52, 36, 17]) / 32
EXPOSURE = 2.0**36 * _RATIOS
FULL_SKY = 1.25 * 2.0**36
SMOOTH = np.array([0.5, 2.0, 7.0, 1.0, 0.25, 4.0, 3.0, 9.0, 0.1, 5.0, 1.5, 2.5])
TEMPLATES = {
    "one": np.array([1.0, 0.5, 2.0, 1.2, 0.1, 3.0, 0.7, 0.9, 1.6, 2.5, 0.3, 0.8]),
    "two": np.array([0.2, 0.4, 0.3, 0.7, 0.1, 1.0, 0.9, 0.0, 0.6, 0.5, 1.3, 0.2]),
}
_FEW = [0, 3, 18, 9, 1, 12, 2, 5, 0, 30, 7, 4]
_MANY = [0, 3000, 40, 900, 1, 2200, 2, 5, 150, 12, 700, 4]
_ALONE = ([1.0], [1.0])
_SPREAD = ([0.75, 0.5, 0.125], [0.5, 0.5, 3.0])
_ONE = (0.046875, [3.1, 1.2], [8.3])
_OTHER = (0.0234375, [4.7, -0.6], [2.1])
_TWO = (0.046875, [3.0, 1.5, 0.5], [16.0, 4.0])
_THREE = (0.0234375, [5.0, 2.0, 1.5, -1.0], [32.0, 8.0, 2.0])
#: Counts, shares of a source's photons and pixels that get them, regions, and of each population A, slopes and breaks.
CASES = {
    "one break, no spread": (_FEW, _ALONE, 1, [_ONE]),
    "one break": (_FEW, _SPREAD, 1, [_ONE]),
    "two breaks": (_FEW, _SPREAD, 1, [_TWO]),
    "three breaks": (_FEW, _SPREAD, 1, [_THREE]),
    "two templates": (_FEW, _SPREAD, 1, [_ONE, _OTHER]),
    "two templates, three regions": (_FEW, _SPREAD, 3, [_THREE, _ONE]),
    "two breaks, three regions": (_FEW, _SPREAD, 3, [_TWO]),
    "thousands": (_MANY, _SPREAD, 3, [(1.875e-4, [2.5, 1.2], [700.0])]),
}


def nptfit(case):
    """Return NPTFit's log probability of each pixel: exposure regions as its scan makes them, one pixel at a time."""
    from NPTFit import npll

    counts, (fractions, weights), regions, laws = CASES[case]
    shares, weights = np.array(fractions), np.array(weights) / np.array(fractions)
    found = np.zeros(len(counts))
    for pixels in np.array_split(np.argsort(EXPOSURE, kind="stable"), regions):
        ratio = EXPOSURE[pixels].mean() / EXPOSURE.mean()
        theta = [[norm / ratio, *slopes, *(place * ratio for place in breaks)] for norm, slopes, breaks in laws]
        for pixel in pixels:
            sources = [
                TEMPLATES[name][[pixel]] / (EXPOSURE[[pixel]] / FULL_SKY) for name in list(TEMPLATES)[: len(laws)]
            ]
            data = np.array([counts[pixel]], dtype=np.int32)
            found[pixel] = npll.log_like(SMOOTH[[pixel]], theta, shares, weights, sources, data)
    return found


if __name__ == "__main__":
    print(json.dumps({case: [float(value) for value in nptfit(case)] for case in CASES}, indent=1))
