"""Trajectories: a solvated box minimised, equilibrated and simulated, with the quality of each run told.

`settings` turns the configuration into GROMACS run parameters, `mdrun` runs one phase or continues it,
`minimise` and `simulate` are the two jobs. `finish` ends a replica: `frames` reads its trajectory in blocks,
`images` makes molecules whole and keeps them together, `protein` takes the protein out, `quality` judges
the run in the same pass, and `metadata` describes it.
"""
