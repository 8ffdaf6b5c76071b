"""How the course is made: notebooks from their sources, the checks of their exercises, the figures
of single notebooks.
"""

from . import figures
from .check import NotYet, UnknownExercise, check, given

__all__ = ["NotYet", "UnknownExercise", "check", "figures", "given"]
