"""Probabilities of counts from populations of sources, by incomplete gamma functions and convolutions of 30 digits."""

import mpmath

__all__ = ["convolve", "count_sources", "count_sources_in_all"]


def segments(norm, slopes, breaks, limits=None):
    """Yield upper end, lower end, place and value of the law there, and slope of each piece, the brightest first."""
    if limits is not None:
        low, high = map(mpmath.mpf, limits)
        yield high, low, high, mpmath.mpf(norm), mpmath.mpf(slopes[0])
        return
    breaks, norm = [mpmath.mpf(place) for place in breaks], mpmath.mpf(norm)
    yield mpmath.inf, breaks[0], breaks[0], norm, mpmath.mpf(slopes[0])
    for place, lower, slope in zip(breaks, [*breaks[1:], mpmath.mpf(0)], slopes[1:], strict=True):
        yield place, lower, place, norm, mpmath.mpf(slope)
        if lower:
            norm *= (lower / place) ** -mpmath.mpf(slope)


def count_sources(m, law, shares):
    """Return c_m: mean number of sources of m photons; law: A, slopes, breaks (and limits); shares: phi and w."""
    total = mpmath.mpf(0)
    with mpmath.workdps(30):
        for high, low, place, norm, slope in segments(*law):
            for fraction, weight in zip(*shares, strict=True):
                share = mpmath.mpf(fraction)
                gamma = mpmath.gammainc(m + 1 - slope, share * low, share * high)
                total += weight * norm * place**slope * share ** (slope - 1) * gamma / mpmath.factorial(m)
        return total


def count_sources_in_all(law, shares):
    r"""Return X, by parts: \int S^-n (1 - e^{-phi S}) = [S^(1-n) (1 - e^{-phi S})]/(1-n) - phi^(n-1) G(2-n)/(1-n)."""
    total = mpmath.mpf(0)
    with mpmath.workdps(30):
        for high, low, place, norm, slope in segments(*law):
            for fraction, weight in zip(*shares, strict=True):
                share, power = mpmath.mpf(fraction), 1 - slope
                ends = [
                    0 if end in (0, mpmath.inf) else end**power * -mpmath.expm1(-share * end) for end in (high, low)
                ]
                gamma = share ** (slope - 1) * mpmath.gammainc(2 - slope, share * low, share * high)
                total += weight * norm * place**slope * (ends[0] - ends[1] - gamma) / power
        return total


def convolve(count, smooth, terms, total):
    """Return ln p of a count: the counts of sources with m photons each, one m after the other, by convolution."""
    with mpmath.workdps(40):
        smooth, unseen = mpmath.mpf(smooth), mpmath.mpf(total) - sum(mpmath.mpf(x) for x in terms)
        found = [mpmath.exp(-smooth) * smooth**k / mpmath.factorial(k) for k in range(count + 1)]
        for m, mean in enumerate(map(mpmath.mpf, terms), start=1):
            sources = [mpmath.exp(-mean) * mean**n / mpmath.factorial(n) for n in range(count // m + 1)]
            found = [sum(sources[n] * found[k - n * m] for n in range(k // m + 1)) for k in range(count + 1)]
        return float(mpmath.log(found[count]) - unseen)
