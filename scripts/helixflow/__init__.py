"""From accessions to molecular dynamics joined with protein language-model embeddings.

One module per stage of the workflow, named after it; none of them knows Snakemake.
Importing any of them is cheap: no GPU, no gmx, no network.
"""

__version__ = "0.1.0"
