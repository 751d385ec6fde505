# One posterior for each fit and each data set that it is for.


rule fit:
    input:
        MODEL_FILES,
        config=f"{RUN}/config/fit-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        data=FIT_DATA,
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
        mem_mb=fit_mb,
        runtime=fit_time,
    params:
        code=code_digest(f"{KIND}fit"),
    shell:
        "skysift fit --config {input.config} --observation {input.observation} --data {input.data}"
        " --threads {threads} --out {output} > {log} 2>&1"
