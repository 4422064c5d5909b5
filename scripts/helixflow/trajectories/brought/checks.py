"""What is measured in the frames of a trajectory that was brought along, and judged at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.trajectories.quality import BOND_LIMIT, Gate, judge

#: A protein nearer than this to its own image, in nm, acts on itself: the cut-off of most force fields.
IMAGE_NM = 1.0
#: Times between frames may differ by this share.
STEP_TOLERANCE = 1e-3

#: Half of the box vectors' sums with -1, 0 and 1; the other half are the same distances from behind.
_IMAGES = np.array([image for image in product((-1, 0, 1), repeat=3) if image > (0, 0, 0)], np.float64)


@dataclass
class Measured:
    """What the frames were like; lengths in nm, times in ps."""

    times: list[float] = field(default_factory=list)
    longest_bond: float = 0.0
    mended: int = 0
    with_box: int = 0
    near_image: int = 0
    nearest_image: float | None = None

    def add(
        self,
        time: float,
        positions: NDArray[np.float64],
        bonds: NDArray[np.int64],
        box: NDArray[np.float64] | None,
        mended: bool,
    ) -> None:
        """Measure one frame that is whole, (n, 3)."""
        self.times.append(time)
        self.mended += mended
        first, second = bonds.T
        lengths = np.linalg.norm(positions[first] - positions[second], axis=1)
        self.longest_bond = max(self.longest_bond, float(lengths.max(initial=0)))
        if box is not None:
            self.with_box += 1
            distance = image_distance(positions, box, IMAGE_NM)
            if distance is not None:
                self.near_image += 1
                self.nearest_image = min(distance, self.nearest_image or distance)

    def gates(self) -> dict[str, Gate]:
        """Judge what was measured; frames without a box have no images."""
        gates = {
            "longest_bond_nm": judge(self.longest_bond, 0, BOND_LIMIT),
            "uneven_frame_steps": judge(count_uneven(np.array(self.times)), 0, 0),
        }
        if self.with_box:
            gates["frames_near_own_image"] = judge(self.near_image, 0, 0)
        return gates

    def told(self) -> dict[str, Any]:
        """Return what quality.json says of the frames."""
        steps = np.diff(self.times)
        return {
            "first_ps": self.times[0],
            "last_ps": self.times[-1],
            "frame_ps": float(np.median(steps)) if len(steps) else None,
            "frames_with_box": self.with_box,
            "frames_made_whole": self.mended,
            "nearest_image_nm": self.nearest_image,
        }


def image_distance(positions: NDArray[np.float64], box: NDArray[np.float64], limit: float) -> float | None:
    """Return the least distance of a protein to its periodic images, None where it is above a limit.

    Parameters
    ----------
    positions : (n, 3)
        Of a whole protein, in nm.
    box : (3, 3)
        Box vectors, as GROMACS has them, in nm.
    limit : float
        In nm.
    """
    from MDAnalysis.lib.distances import capped_distance

    nearest = []
    for shift in _IMAGES @ box:
        along = positions @ (shift / np.linalg.norm(shift))
        # Along the shift itself, the image is at least this far away.
        if np.linalg.norm(shift) - np.ptp(along) > limit:
            continue
        _, distances = capped_distance(positions, positions + shift, limit)
        nearest += [float(distances.min())] if len(distances) else []
    return min(nearest, default=None)


def count_uneven(times: NDArray[np.float64]) -> int:
    """Count the steps between frames, (T,) in ps, that are not as long as most, or not forward.

    Files have times as float32, whose last digit is allowed for.
    """
    steps = np.diff(times)
    if not len(steps):
        return 0
    usual = float(np.median(steps))
    tolerance = STEP_TOLERANCE * abs(usual) + 2 * np.spacing(np.abs(times).max().astype(np.float32))
    return int(np.sum((np.abs(steps - usual) > tolerance) | (steps <= 0)))
