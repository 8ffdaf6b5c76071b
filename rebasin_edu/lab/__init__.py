"""Models, data, training and stored results; this room knows nothing of permutations."""

from rebasin_edu.lab.data import DataError, DataNotFound, Dataset, Split, load_data
from rebasin_edu.lab.models import MLP, VGG, VGG11, VGG16, Ensemble, LayerNorm2d, ResNet20
from rebasin_edu.lab.recipes import Recipe, RecipeError
from rebasin_edu.lab.runs import RunError, load_run
from rebasin_edu.lab.sweeps import SweepError, sweep
from rebasin_edu.lab.training import Training, TrainingError, train
from rebasin_edu.lab.zoo import load_or_train

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
