"""Embeddings of proteins: one vector per residue, computed once per distinct sequence and kept in a store.

Whoever only reads embeddings needs `read_index` and `open_embedding`. The computing modules run
with torch, transformers, numpy and h5py alone.
"""

from helixflow.embeddings.contact_reading import open_contacts
from helixflow.embeddings.index import read_index
from helixflow.embeddings.reading import open_embedding, open_embeddings, open_pooled
from helixflow.embeddings.settings import check_settings, heads_files, model_files

__all__ = [
    "check_settings",
    "heads_files",
    "model_files",
    "open_contacts",
    "open_embedding",
    "open_embeddings",
    "open_pooled",
    "read_index",
]
