"""Average sharpness: how much the loss rises under Gaussian perturbations of the parameters."""
