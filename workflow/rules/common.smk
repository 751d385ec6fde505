# What the rules share: names, sizes, and the commands that several of them need.
RUN = f"results/{analysis.run}"
DATA_OF_FIT = analysis.fit_data()
DATA = analysis.all_data()
CALIBRATED = analysis.calibrated_fits()
SIDEBAND_REGIONS = [] if IS_EVENTS or IS_CUBES else analysis.sideband_regions()
SIDEBAND_FITS = [] if IS_EVENTS or IS_CUBES else analysis.sideband_fits()
# Memory of steps that prepare the data, and of those that hold a model of them.
if IS_CUBES:
    PREPARE_MB, MODEL_MB = cube_memory_mb(analysis, needs_torch=False), cube_memory_mb(analysis)
elif IS_EVENTS:
    PREPARE_MB = MODEL_MB = event_memory_mb(analysis, OBSERVED_EVENTS)
else:
    PREPARE_MB = maps_memory_mb(analysis)
# What a fit compares its model with, and where the steps of this kind of analysis are.
FIT_DATA = f"{RUN}/{'marginals' if IS_EVENTS else 'data'}/{{data}}.h5"
KIND = f"{analysis.kind}/" if IS_EVENTS or IS_CUBES else ""

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


def simulate_mb(wildcards, attempt):
    """Memory of a simulation: more where a field is drawn."""
    if IS_EVENTS or IS_CUBES:
        return MODEL_MB * attempt
    return maps_memory_mb(analysis, needs_torch=bool(analysis.simulate.sets[wildcards.set].modulate)) * attempt


def report_mb(wildcards, attempt, threads):
    """Memory of the page, whose figures are drawn side by side, and that of all posteriors at once."""
    return (600 + 300 * threads + len(posteriors(wildcards))) * attempt


def fit_mb(wildcards, attempt):
    """Memory of a fit."""
    needed = MODEL_MB if IS_EVENTS or IS_CUBES else fit_memory_mb(analysis, wildcards.fit)
    return needed * attempt


def fit_time(wildcards, attempt):
    """Wall time of a fit, in minutes."""
    if IS_EVENTS:
        return event_fit_minutes(analysis, wildcards.fit, OBSERVED_EVENTS) * attempt
    if IS_CUBES:
        return cube_fit_minutes(analysis, wildcards.fit) * attempt
    return fit_minutes(analysis, wildcards.fit) * attempt


def posteriors(wildcards):
    """Every posterior of the run, with and without the systematic of the sidebands."""
    plain = over_fits(f"{RUN}/fits/{{fit}}/{{data}}.nc")
    return plain + [f"{RUN}/fits/{fit}_sidebands/{data}.nc" for fit in SIDEBAND_FITS for data in DATA_OF_FIT[fit]]


def trials(wildcards):
    """Every batch of simulations of the calibration, where there is one."""
    batches = {fit: analysis.calibrate.of(fit).batches for fit in CALIBRATED}
    return [f"{RUN}/calibration/{fit}/{k:03d}.h5" for fit in CALIBRATED for k in range(batches[fit])]


wildcard_constraints:
    batch=r"\d\d\d+",
    slice=one_of(SLICES),
    set=one_of(name.removeprefix("simulate-") for name in SLICES if name.startswith("simulate-")),
    replicate=r"\d\d\d+",
    data=one_of(DATA),
    fit=one_of(DATA_OF_FIT),
    region=one_of(SIDEBAND_REGIONS),
