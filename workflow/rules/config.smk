# The resolved configuration, and the slice of it that each step reads. Only a slice that changed is written anew.


rule write_config:
    output:
        f"{RUN}/config/{{slice}}.yaml",
    log:
        f"{RUN}/logs/config/{{slice}}.log",
    conda:
        "../../envs/skysift.yaml"
    params:
        text=lambda wildcards: SLICES[wildcards.slice],
    shell:
        "printf '%s' {params.text:q} > {output} 2> {log}"


rule write_whole_config:
    output:
        f"{RUN}/config.yaml",
    log:
        f"{RUN}/logs/config.log",
    conda:
        "../../envs/skysift.yaml"
    params:
        text=WHOLE,
    shell:
        "printf '%s' {params.text:q} > {output} 2> {log}"
