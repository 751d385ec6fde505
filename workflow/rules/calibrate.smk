# Truths drawn from the prior of a fit and data drawn from its model, fitted again: one batch for each job.


rule calibrate:
    input:
        config=f"{RUN}/config/calibrate-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        response=ancient(RESPONSES),
    output:
        f"{RUN}/calibration/{{fit}}/{{batch}}.h5",
    log:
        f"{RUN}/logs/calibration/{{fit}}/{{batch}}.log",
    benchmark:
        f"{RUN}/benchmarks/calibration/{{fit}}/{{batch}}.tsv"
    conda:
        "../../envs/skysift.yaml"
    threads: analysis.threads
    resources:
        mem_mb=fit_mb,
        runtime=lambda wildcards, attempt: 10 * attempt
        + (fit_time(wildcards, attempt) - 10 * attempt) * analysis.calibrate.per_job,
    params:
        code=code_digest(f"{KIND}calibrate"),
        response=lambda wildcards, input: [f"--response {path}" for path in input.get("response", [])],
        batch=lambda wildcards: f"{int(wildcards.batch)}/{analysis.calibrate.of(wildcards.fit).batches}",
    shell:
        "skysift calibrate --config {input.config} --observation {input.observation} --batch {params.batch}"
        " {params.response} --threads {threads} --out {output} > {log} 2>&1"
