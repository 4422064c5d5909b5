"""Structures: read, cleaned, and set up in a box of water for GROMACS.

`read` knows the file formats, `clean` decides what can be simulated, `residues` is the table that every
later stage reads, `topology` reads what pdb2gmx wrote, and `prepare` runs the GROMACS tools.
"""
