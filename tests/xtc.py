"""XTC files of tests, read and written frame by frame."""

import numpy as np
from MDAnalysis.lib.formats.libmdaxdr import XTCFile


def read_xtc(path):
    """All frames of a file, as MDAnalysis has them."""
    with XTCFile(str(path)) as xtc:
        return list(xtc)


def write_xtc(path, frames, box=None, times=None):
    """Write positions, (T, A, 3) in nm; without a box, and a frame each ps, where none are given."""
    box = np.zeros((3, 3)) if box is None else box
    with XTCFile(str(path), "w") as xtc:
        for number, positions in enumerate(frames):
            time = float(number) if times is None else times[number]
            xtc.write(positions.astype(np.float32), box.astype(np.float32), number, time)
    return path


def change_frames(path, change):
    """Rewrite a file; `change` gets number, positions and box of each frame, and changes them in place."""
    frames = read_xtc(path)
    with XTCFile(str(path), "w") as xtc:
        for at, frame in enumerate(frames):
            positions, box = frame.x.copy(), frame.box.copy()
            change(at, positions, box)
            xtc.write(positions, box, frame.step, frame.time, frame.prec)


def tear(rng, positions, boxes):
    """Put every atom of every frame, (T, A, 3), into another image of its box, (T, 3, 3), at random."""
    turns = rng.integers(-2, 3, positions.shape)
    return positions + turns @ boxes
