"""All structures of a run beside each other, and what is learnt of some of them and holds for others."""

from helixflow.coanalysis.across.learning import learn_across
from helixflow.coanalysis.across.relatives import Relations, find_relatives
from helixflow.coanalysis.across.structures import open_analyses
from helixflow.coanalysis.across.table import write_table

__all__ = ["Relations", "find_relatives", "learn_across", "open_analyses", "write_table"]
