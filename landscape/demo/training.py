"""Training runs as anybody would make them."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl

from landscape.demo.digits import DigitsDataModule, LitMLP
from landscape.lightning import LandscapeCheckpoint

__all__ = ["train"]

EPOCHS = 120


def train(folder: Path, seed: int) -> Path:
    """Train one net into an ordinary Lightning run folder; its last checkpoint."""
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if checkpoint.exists():
        return checkpoint
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    pl.seed_everything(seed, verbose=False)
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[LandscapeCheckpoint()],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(LitMLP(), datamodule=DigitsDataModule())
    trainer.save_checkpoint(checkpoint)
    return checkpoint
