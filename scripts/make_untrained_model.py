"""Rule make_untrained_model: a seed in, a small BERT with random weights out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.embeddings.untrained import make_untrained_model

make_untrained_model(Path(snakemake.output.weights).parent, snakemake.params.seed)
