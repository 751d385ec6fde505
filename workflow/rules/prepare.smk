# Maps become the pixels, exposure and templates that every later step reads.


rule prepare:
    input:
        EVENT_LISTS,
        config=f"{RUN}/config/observation.yaml",
    output:
        f"{RUN}/observation.h5",
    log:
        f"{RUN}/logs/prepare.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: PREPARE_MB * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_digest(f"{KIND}prepare"),
    shell:
        "skysift prepare --config {input.config} --out {output} > {log} 2>&1"
