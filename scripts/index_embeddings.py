"""Rule index_embeddings: all distinct proteins in, the URIs of their embeddings and a file over them out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import read_model
from helixflow.embeddings.store import remove_temporary
from helixflow.embeddings.virtual import write_virtual

model, store = read_model(snakemake.input.model), snakemake.params.store
clusters = snakemake.input.get("clusters")
write_index(snakemake.input.proteins, snakemake.output.index, model, store, clusters)
write_virtual(snakemake.output.index, snakemake.output.virtual, model.hidden_size)
remove_temporary(store, model.key)
