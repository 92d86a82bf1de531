"""What the core itself offers through the hooks: checkpoint formats and named losses."""

from __future__ import annotations

from landscape.analysis import NamedObjective, Source
from landscape.hooks import hookimpl


@hookimpl
def landscape_objectives() -> list[NamedObjective]:
    losses = "landscape.landscapes.objectives"
    return [
        NamedObjective("cross_entropy", "softmax cross-entropy of class logits", f"{losses}:cross_entropy"),
        NamedObjective("mse", "mean squared error over all elements", f"{losses}:mse"),
        NamedObjective("bce", "binary cross-entropy of logits over all elements", f"{losses}:bce"),
    ]


@hookimpl
def landscape_sources() -> list[Source]:
    def checkpoint_format(name: str, summary: str, module: str) -> Source:
        home = f"landscape.checkpoints.{module}"
        return Source(name, summary, open=f"{home}:open_file", recognise=f"{home}:recognise")

    return [
        checkpoint_format(
            "programs", "TorchScript, exported programs, DCP folders: recognised and refused", "programs"
        ),
        checkpoint_format("safetensors", "safetensors files", "safetensors_files"),
        checkpoint_format("lightning", "Lightning checkpoints", "lightning_files"),
        checkpoint_format("torch", "state dicts and their wrappers, from torch.save", "torch_files"),
    ]
