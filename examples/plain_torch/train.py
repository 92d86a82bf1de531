"""Train two nets from different seeds and save their state dicts: seed0.pt and seed1.pt in the folder given."""

import sys
from pathlib import Path

import torch
from nets import MLP, digits
from torch.nn.functional import cross_entropy

EPOCHS = 120
BATCH_SIZE = 128


def train(seed: int) -> MLP:
    """Adam on cross-entropy, its rate falling to zero; the training loss ends below 1e-3."""
    torch.manual_seed(seed)
    model = MLP()
    inputs, targets = digits().tensors
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(inputs) // BATCH_SIZE))
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs)).split(BATCH_SIZE):
            optimizer.zero_grad()
            cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
            schedule.step()
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    for seed in (0, 1):
        torch.save(train(seed).state_dict(), folder / f"seed{seed}.pt")
