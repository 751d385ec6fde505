# One posterior for each fit and each data set that it is for.


rule fit:
    input:
        config=f"{RUN}/config/fit-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        data=f"{RUN}/data/{{data}}.h5",
    output:
        f"{RUN}/fits/{{fit}}/{{data}}.nc",
    log:
        f"{RUN}/logs/fits/{{fit}}/{{data}}.log",
    benchmark:
        f"{RUN}/benchmarks/fits/{{fit}}/{{data}}.tsv"
    conda:
        "../../envs/skysift.yaml"
    threads: analysis.threads
    resources:
        mem_mb=lambda wildcards, attempt: fit_memory_mb(analysis, wildcards.fit) * attempt,
        runtime=lambda wildcards, attempt: fit_minutes(analysis, wildcards.fit) * attempt,
    params:
        code=code_digest("fit"),
    shell:
        "skysift fit --config {input.config} --observation {input.observation} --data {input.data}"
        " --threads {threads} --out {output} > {log} 2>&1"
