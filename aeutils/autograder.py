"""Kept for ``nbgrader_config.py`` files that the first edition of the course wrote; they import from here.

New code imports from `aeutils.classroom.autograder`.
"""

from aeutils.classroom.autograder import autograde_steps

__all__ = ["autograde_steps"]
