"""Language models of characters: made of texts, mixed, pruned, and written in the form of KenLM."""

from .building import Built, build_language_model
from .kenlm_trie import read_model, write_model
from .kneser_ney import train_ngrams
from .mixing import best_weights, mix
from .ngrams import NGramModel
from .pruning import prune
from .vocabulary import Vocabulary


__all__ = [
    "Built",
    "NGramModel",
    "Vocabulary",
    "best_weights",
    "build_language_model",
    "mix",
    "prune",
    "read_model",
    "train_ngrams",
    "write_model",
]
