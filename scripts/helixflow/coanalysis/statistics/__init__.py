"""Statistics of a co-analysis: what is worked out from the file of one structure, and written into it."""

from helixflow.coanalysis.statistics.write import StatisticsSettings, write_statistics

__all__ = ["StatisticsSettings", "write_statistics"]
