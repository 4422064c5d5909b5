"""Rule make_closed_form_model: nothing in, a small BERT with weights in closed form out."""

from pathlib import Path

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.closed_form import make_closed_form_model

make_closed_form_model(Path(snakemake.output.weights).parent)
