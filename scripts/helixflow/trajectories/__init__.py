"""Trajectories: a solvated box minimised, equilibrated and simulated, with the quality of each run told.

`settings` turns the configuration into GROMACS run parameters, `minimise` and `equilibrate` make a system
ready. A production is a chain of `segments`, each of several `runs` where replicas share a job: `plan` says
which, `packing` and `layout` how they share the machine, and `mdrun` starts, stops and continues them.
`joining` makes one trajectory of them, with every frame once, frame by frame as `parts` reads them. `finish`
ends a replica: `frames` reads its trajectory in blocks, `images` makes molecules whole and keeps them
together, `protein` takes the protein out, `quality` judges the run in the same pass, and `metadata`
describes it.
"""
