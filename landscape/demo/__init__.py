"""A small, real example: multilayer perceptrons on scikit-learn's handwritten digits, trained with Lightning."""
