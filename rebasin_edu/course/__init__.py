"""How the course is made: notebooks from their sources, the checks of their exercises, exported
pages.
"""

from .check import NotYet, UnknownExercise, check

__all__ = ["NotYet", "UnknownExercise", "check"]
