# What the rules share: names, sizes, and the commands that several of them need.
RUN = f"results/{analysis.run}"
DATA_OF_FIT = analysis.fit_data()
DATA = analysis.all_data()
SIDEBAND_REGIONS = analysis.sideband_regions()
SIDEBAND_FITS = analysis.sideband_fits()
MAPS_MB = maps_memory_mb(analysis)

# In a subshell before `||`, so that the page is tried also when the tables fail.
PAGE_OF_WHAT_EXISTS = (
    f"( skysift tables --config {RUN}/config/report.yaml --run {RUN} --out-dir {RUN}/tables; "
    f"skysift report --config {RUN}/config.yaml --run {RUN} --out {RUN}/report.html ) "
    f"> {RUN}/logs/page-of-what-exists.log 2>&1 || true"
)


def one_of(names):
    """Match exactly these names, so that a wildcard never takes a path for a name."""
    return "|".join(sorted(map(re.escape, names))) or "(?!)"


def over_fits(pattern):
    """Fill in every pair of a fit and a data set that it is for."""
    return [pattern.format(fit=fit, data=data) for fit, names in DATA_OF_FIT.items() for data in names]


def posteriors(wildcards):
    """Every posterior of the run, with and without the systematic of the sidebands."""
    plain = over_fits(f"{RUN}/fits/{{fit}}/{{data}}.nc")
    return plain + [f"{RUN}/fits/{fit}_sidebands/{data}.nc" for fit in SIDEBAND_FITS for data in DATA_OF_FIT[fit]]


wildcard_constraints:
    slice=one_of(SLICES),
    set=one_of(name.removeprefix("simulate-") for name in SLICES if name.startswith("simulate-")),
    replicate=r"\d\d\d+",
    data=one_of(DATA),
    fit=one_of(DATA_OF_FIT),
    region=one_of(SIDEBAND_REGIONS),
