# What the fitted model would have seen, beside what was seen.


rule diagnose:
    input:
        MODEL_FILES,
        config=f"{RUN}/config/fit-{{fit}}.yaml",
        observation=f"{RUN}/observation.h5",
        data=FIT_DATA,
        posterior=f"{RUN}/fits/{{fit}}/{{data}}.nc",
        response=ancient(RESPONSES),
    output:
        f"{RUN}/predictive/{{fit}}/{{data}}.h5",
    log:
        f"{RUN}/logs/predictive/{{fit}}/{{data}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=fit_mb,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=code_digest(f"{KIND}diagnose"),
        response=lambda wildcards, input: [f"--response {path}" for path in input.get("response", [])],
    shell:
        "skysift diagnose --config {input.config} --observation {input.observation} --data {input.data}"
        " --posterior {input.posterior} {params.response} --out {output} > {log} 2>&1"
