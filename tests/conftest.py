"""One torch thread, and shapes checked at every call of the numerics."""

from jaxtyping import install_import_hook

_NUMERICS = [
    "landscape.parameters",
    "landscape.landscapes",
    "landscape.curvature",
    "landscape.paths",
    "landscape.symmetry",
    "landscape.neighbourhood",
]
_HOOK = install_import_hook(_NUMERICS, "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
