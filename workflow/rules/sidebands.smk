# How much of the signal a model invents where there is none, and what that adds to the uncertainty.


rule sidebands:
    input:
        config=f"{RUN}/config/sidebands-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        data=f"{RUN}/data/{{data}}.h5",
    output:
        f"{RUN}/sidebands/{{fit}}/{{data}}/{{region}}.h5",
    log:
        f"{RUN}/logs/sidebands/{{fit}}/{{data}}/{{region}}.log",
    benchmark:
        f"{RUN}/benchmarks/sidebands/{{fit}}/{{data}}/{{region}}.tsv"
    conda:
        "../../envs/skysift.yaml"
    threads: analysis.threads
    resources:
        mem_mb=fit_mb,
        runtime=fit_time,
    params:
        code=code_digest("sidebands"),
    shell:
        "skysift sidebands --config {input.config} --observation {input.observation} --data {input.data}"
        " --region {wildcards.region:q} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule systematics:
    input:
        posterior=f"{RUN}/fits/{{fit}}/{{data}}.nc",
        spurious=expand(
            f"{RUN}/sidebands/{{{{fit}}}}/{{{{data}}}}/{{region}}.h5",
            region=SIDEBAND_REGIONS,
        ),
    output:
        f"{RUN}/fits/{{fit}}_sidebands/{{data}}.nc",
    log:
        f"{RUN}/logs/fits/{{fit}}_sidebands/{{data}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_digest("systematics"),
    shell:
        "skysift systematics --posterior {input.posterior} --spurious {input.spurious:q} --out {output} > {log} 2>&1"
