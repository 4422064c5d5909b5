"""Rule verify_store: the index of a run in, what is wrong with the store out, as a table beside it."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.model import read_model
from helixflow.embeddings.verify import report_findings, verify_store

key = read_model(snakemake.input.model).key
findings = verify_store(
    snakemake.config["embeddings"]["store"], key, snakemake.input.index, snakemake.input.contacts
)
# No output of the rule: Snakemake would delete it where something is wrong.
report_findings(findings, "results/embeddings/verified.tsv")
