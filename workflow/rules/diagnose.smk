# What the fitted model would have seen, beside what was seen.


rule diagnose:
    input:
        config=f"{RUN}/config/fit-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        data=f"{RUN}/data/{{data}}.h5",
        posterior=f"{RUN}/fits/{{fit}}/{{data}}.nc",
    output:
        f"{RUN}/predictive/{{fit}}/{{data}}.h5",
    log:
        f"{RUN}/logs/predictive/{{fit}}/{{data}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: fit_memory_mb(analysis, wildcards.fit) * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=code_digest("diagnose"),
    shell:
        "skysift diagnose --config {input.config} --observation {input.observation} --data {input.data}"
        " --posterior {input.posterior} --out {output} > {log} 2>&1"
