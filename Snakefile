# The entry for people: bare `snakemake` in the repository runs workflow/Snakefile.
workflow.default_target = "all"


include: "workflow/Snakefile"
