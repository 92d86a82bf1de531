"""Curvature of a language model of the size of GPT-2 on a GPU: does it fit, and what does a product cost?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from timing import median_seconds, seconds_of
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import landscape
from landscape.curvature.density import lanczos_quadrature
from landscape.curvature.lanczos import extreme_eigenpairs, init

__all__ = ["GPT2", "LanguageModel", "Shape", "report"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder-only transformer, and of the data that it is measured on."""

    layers: int
    heads: int
    width: int
    vocabulary: int
    context: int
    sequences: int
    batch_size: int


GPT2 = Shape(layers=12, heads=12, width=768, vocabulary=50257, context=512, sequences=64, batch_size=4)
"""124 million parameters; the context is the length of the sequences."""


class _Block(nn.Module):
    """Causal attention and a perceptron, each after a layer norm, each added to its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.up, self.down = nn.Linear(shape.width, 4 * shape.width), nn.Linear(4 * shape.width, shape.width)

    def forward(self, hidden: Tensor) -> Tensor:
        parts = self.queries_keys_values(self.norm1(hidden)).chunk(3, dim=-1)
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        return hidden + self.down(F.gelu(self.up(self.norm2(hidden)), approximate="tanh"))


class LanguageModel(nn.Module):
    """Scores of the next token, shape (sequences, tokens, vocabulary); the embedding is the last layer as well."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.Sequential(*(_Block(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.norm(self.blocks(self.tokens(tokens) + self.positions(places)))
        return hidden @ self.tokens.weight.T


def report(device: torch.device, shape: Shape = GPT2, steps: int = 50) -> str:
    """A table of what a product, the five largest eigenpairs and a density cost there, float32, random weights."""
    torch.manual_seed(0)
    tokens = torch.randint(shape.vocabulary, (shape.sequences, shape.context + 1))
    model = LanguageModel(shape).eval().to(device)
    data = (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
    scape, (point,) = landscape.load(
        model, data=data, objective="cross_entropy", batch_size=shape.batch_size, device=str(device)
    )
    operator = scape.curvature(point)
    vectors = torch.randn(2, scape.space.dim, generator=torch.Generator().manual_seed(0)).to(point.vector)
    gradient = median_seconds(lambda: _gradient(model, data, shape.batch_size, device), device, 5)
    product = median_seconds(lambda: operator.matmat(vectors[:1]), device, 5)

    def top() -> tuple[int, bool, Tensor]:
        found = extreme_eigenpairs(operator, init(vectors[0]), top=5, bottom=0, rtol=1e-3, max_products=300)
        return found.num_products, found.converged, found.top.values

    seconds, (products, converged, values) = seconds_of(top, device)
    density, _ = seconds_of(
        lambda: lanczos_quadrature(operator, vectors[1:], num_steps=steps, dimension=scape.space.dim), device
    )
    peak = f"{torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB" if device.type == "cuda" else "not measured"
    verdict = "converged" if converged else "not converged"
    ratio = product / gradient
    rows = [
        ("one gradient of the mean loss", f"{gradient:.3g} s", "–", "–"),
        (f"Hessian-vector product ({getattr(operator, 'mode', '')})", f"{ratio:.3g} gradients", "≤ 3",
         "yes" if ratio <= 3 else "no"),
        ("top 5 to residual 1e-3", f"{seconds / gradient:.3g} gradients, {products} products, {verdict}, "
         f"λ₁ = {float(values[0]):.4g}", "–", "–"),
        (f"density, 1 × {steps}", f"{density / gradient:.3g} gradients", "–", "–"),
        ("peak memory of all", peak, "no out-of-memory", "yes"),
    ]  # fmt: skip
    title = (
        f"A language model of {scape.space.dim:,} parameters with random weights, {shape.sequences} × {shape.context} "
        f"random tokens in batches of {shape.batch_size}, float32:"
    )
    return "\n".join(
        [title, "", "| what | took | goal | met |", "|---|---|---|---|"] + [f"| {' | '.join(r)} |" for r in rows]
    )


def _gradient(model: nn.Module, data: tuple[Tensor, Tensor], batch_size: int, device: torch.device) -> None:
    """The mean loss and its gradient in plain PyTorch, batch by batch, with the attention that torch chooses."""
    for inputs, targets in zip(*(torch.split(part, batch_size) for part in data), strict=True):
        scores = model(inputs.to(device)).flatten(0, 1)
        loss = F.cross_entropy(scores, targets.to(device).flatten(), reduction="sum") / data[1].numel()
        torch.autograd.grad(loss, list(model.parameters()))
