"""Models, data, training and stored results; this room knows nothing of permutations."""

from .datasets import Dataset, Split, load_data
from .models import MLP, VGG, VGG11, VGG16, Ensemble, LayerNorm2d, ResNet20
from .recipe import ImageShape, Recipe
from .stored_runs import load_run
from .sweep import sweep
from .training import Training, train
from .training_config import TrainingConfig
from .zoo import load_or_train

__all__ = [
    "MLP",
    "VGG",
    "VGG11",
    "VGG16",
    "Dataset",
    "Ensemble",
    "ImageShape",
    "LayerNorm2d",
    "Recipe",
    "ResNet20",
    "Split",
    "Training",
    "TrainingConfig",
    "load_data",
    "load_or_train",
    "load_run",
    "sweep",
    "train",
]
