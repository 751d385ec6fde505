# The data: counts that were observed, or drawn from a truth.


rule observe:
    input:
        EVENT_LISTS,
        config=f"{RUN}/config/observation.yaml",
        observation=f"{RUN}/observation.h5",
    output:
        f"{RUN}/data/observed.h5",
    log:
        f"{RUN}/logs/data/observed.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: PREPARE_MB * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_digest(f"{KIND}observe"),
    shell:
        "skysift observe --config {input.config} --observation {input.observation} --out {output} > {log} 2>&1"


rule simulate:
    input:
        MODEL_FILES,
        config=f"{RUN}/config/simulate-{{set}}.yaml",
        observation=f"{RUN}/observation.h5",
    output:
        f"{RUN}/data/{{set}}-{{replicate}}.h5",
    log:
        f"{RUN}/logs/data/{{set}}-{{replicate}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=simulate_mb,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_digest(f"{KIND}simulate"),
    shell:
        "skysift simulate --config {input.config} --observation {input.observation}"
        " --data {wildcards.set}-{wildcards.replicate} --out {output} > {log} 2>&1"
