"""Trajectories: a solvated box minimised, equilibrated and simulated, with the quality of each run told.

`settings` turns the configuration into GROMACS run parameters, `mdrun` runs one phase or continues it,
`minimise` and `simulate` are the two jobs, `protein` takes the protein out whole and centred, and
`quality` judges a finished run.
"""
