# The numbers of the whole run as tables, and the page that shows them.


# A table of ranks only with a section `calibrate`.
RANKS = {"ranks": report(f"{RUN}/tables/ranks.csv", caption="../report/ranks.rst", category="Tables")}
RANKS = RANKS if CALIBRATED else {}


rule tables:
    input:
        config=f"{RUN}/config/report.yaml",
        posteriors=posteriors,
        predictive=over_fits(f"{RUN}/predictive/{{fit}}/{{data}}.h5"),
        trials=trials,
    output:
        **RANKS,
        posterior=report(
            f"{RUN}/tables/posterior.csv",
            caption="../report/posterior.rst",
            category="Tables",
        ),
        evidence=report(
            f"{RUN}/tables/evidence.csv",
            caption="../report/evidence.rst",
            category="Tables",
        ),
        cost=report(f"{RUN}/tables/cost.csv", caption="../report/cost.rst", category="Tables"),
        calibration=report(
            f"{RUN}/tables/calibration.csv",
            caption="../report/calibration.rst",
            category="Tables",
        ),
    log:
        f"{RUN}/logs/tables.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: (650 + len(posteriors(wildcards))) * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=code_digest("tables"),
        run=subpath(output.posterior, ancestor=2),
        folder=subpath(output.posterior, parent=True),
    shell:
        "skysift tables --config {input.config} --run {params.run} --out-dir {params.folder} > {log} 2>&1"


rule report:
    input:
        config=f"{RUN}/config.yaml",
        tables=rules.tables.output,
        posteriors=posteriors,
        predictive=over_fits(f"{RUN}/predictive/{{fit}}/{{data}}.h5"),
        trials=trials,
    output:
        page=report(f"{RUN}/report.html", caption="../report/page.rst", category="Report"),
        figures=report(
            directory(f"{RUN}/figures"),
            patterns=["{name}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
    log:
        f"{RUN}/logs/report.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 4
    resources:
        mem_mb=report_mb,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=code_digest("report"),
        run=subpath(output.page, parent=True),
    shell:
        "skysift report --config {input.config} --run {params.run} --out {output.page} > {log} 2>&1"
