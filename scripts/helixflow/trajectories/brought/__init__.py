"""Trajectories that are brought along: checked, made whole, and written as those of our own runs are."""

from __future__ import annotations

from helixflow.trajectories.brought.bring import BroughtFiles, Outputs, bring_trajectory

__all__ = ["BroughtFiles", "Outputs", "bring_trajectory"]
