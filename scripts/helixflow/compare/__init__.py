"""Two runs held against each other: which stage, item and record is the first to differ, and by how much.

Every file of a run is read as records, each with a key, a digest of its content and what it is measured by
(`records`); what a stage wrote is a list of such files (`stages`). Walking both runs in the order the data
flow finds all that differs; what is upstream of what (`causes`) tells a cause from what follows from it.
"""
