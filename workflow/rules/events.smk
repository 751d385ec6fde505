# Events: responses, shared by all runs that need the same ones, and the density of every source at the events.
CHUNKS = {data: analysis.chunk_count(data, OBSERVED_EVENTS) for data in DATA}
# A response is named by all that it is made of: one that is there is taken as it is, whichever run made it.
MISSING_RESPONSES = [path for path in RESPONSES if not Path(path).exists()]


wildcard_constraints:
    response=one_of(Path(path).stem for path in MISSING_RESPONSES),
    chunk=r"\d\d\d+",


ruleorder: gather > marginalise


rule response:
    input:
        config=f"{RUN}/config/observation.yaml",
        observation=f"{RUN}/observation.h5",
    output:
        "results/cache/{response}.h5",
    log:
        f"{RUN}/logs/{{response}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: PREPARE_MB * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        pointing=lambda wildcards: RESPONSES.index(f"results/cache/{wildcards.response}.h5"),
    shell:
        "skysift response --config {input.config} --observation {input.observation} --pointing {params.pointing}"
        " --out {output} > {log} 2>&1"


rule marginalise:
    input:
        config=f"{RUN}/config/marginalise.yaml",
        observation=f"{RUN}/observation.h5",
        response=ancient(RESPONSES),
        data=f"{RUN}/data/{{data}}.h5",
    output:
        # what is there is read first: columns of sources that did not change are taken over
        update(f"{RUN}/marginals/{{data}}/{{chunk}}.h5"),
    log:
        f"{RUN}/logs/marginals/{{data}}/{{chunk}}.log",
    benchmark:
        f"{RUN}/benchmarks/marginals/{{data}}/{{chunk}}.tsv"
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: PREPARE_MB * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("events/marginalise"),
        chunk=lambda wildcards: f"{int(wildcards.chunk)}/{CHUNKS[wildcards.data]}",
    shell:
        "skysift marginalise --config {input.config} --observation {input.observation} --data {input.data}"
        " --chunk {params.chunk} --out {output} --response {input.response} > {log} 2>&1"


rule gather:
    input:
        config=f"{RUN}/config/marginalise.yaml",
        marginals=lambda wildcards: [
            f"{RUN}/marginals/{wildcards.data}/{number:03d}.h5" for number in range(CHUNKS[wildcards.data])
        ],
    output:
        f"{RUN}/marginals/{{data}}.h5",
    log:
        f"{RUN}/logs/marginals/{{data}}.log",
    conda:
        "../../envs/skysift.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: gather_memory_mb(analysis, OBSERVED_EVENTS) * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=code_digest("events/gather"),
    shell:
        "skysift gather --config {input.config} --out {output} --marginals {input.marginals} > {log} 2>&1"
