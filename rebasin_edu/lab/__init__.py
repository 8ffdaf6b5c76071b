"""Models, data, training and stored results; this room knows nothing of permutations."""

from .datasets import DataError, DataNotFound, Dataset, Split, load_data
from .models import MLP, VGG, VGG11, VGG16, Ensemble, LayerNorm2d, ResNet20
from .recipe import Recipe, RecipeError
from .stored_runs import RunError, load_run
from .sweep import SweepError, sweep
from .training import Training, TrainingError, train
from .zoo import load_or_train

__all__ = [
    "MLP",
    "VGG",
    "VGG11",
    "VGG16",
    "DataError",
    "DataNotFound",
    "Dataset",
    "Ensemble",
    "LayerNorm2d",
    "Recipe",
    "RecipeError",
    "ResNet20",
    "RunError",
    "Split",
    "SweepError",
    "Training",
    "TrainingError",
    "load_data",
    "load_or_train",
    "load_run",
    "sweep",
    "train",
]
