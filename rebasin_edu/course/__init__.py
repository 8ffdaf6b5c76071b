"""How the course is made: notebooks from their sources, the checks of their exercises, the figures
and the small language and vision models of single notebooks.
"""

from . import figures
from .check import NotYet, UnknownExercise, check, given
from .stored_transformers import load_gpt, load_vit
from .text import load_text

__all__ = [
    "NotYet",
    "UnknownExercise",
    "check",
    "figures",
    "given",
    "load_gpt",
    "load_text",
    "load_vit",
]
