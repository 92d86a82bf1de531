"""Small networks of many kinds, and which of their units can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import Point

SAMPLES = 12
CLASSES = 5


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, CLASSES))


class FunctionalMLP(nn.Module):
    """ReLU and flatten as functions in ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 9), nn.Linear(9, 6)
        self.third = nn.Linear(6, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x.flatten(1)))
        return self.third(torch.tanh(self.second(x)))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(5 * 2 * 2, 7),
        nn.ReLU(),
        nn.Linear(7, CLASSES),
    )


class Block(nn.Module):
    """A residual block with batch norm, its shortcut projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Two stages of two blocks."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stage1 = nn.Sequential(Block(width, width, 1), Block(width, width, 1))
        self.stage2 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        self.out = nn.Linear(2 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)))
        x = self.stage2(self.stage1(x))
        return self.out(F.avg_pool2d(x, x.shape[-1]).flatten(1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.expand(gate))


def separable() -> nn.Module:
    """Depthwise-separable convolutions with squeeze-excite."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, 1, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 6, 3, 2, 1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.Hardswish(),
        SqueezeExcite(6, 3),
        nn.Conv2d(6, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


class FusedAttention(nn.Module):
    """Self-attention written by hand: one projection to q, k and v, cut into heads."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, tokens, width))


class FusedByHead(FusedAttention):
    """The same with q, k and v of a head side by side."""

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, self.num_heads, 3, -1).permute(3, 0, 2, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width))


class SeparateAttention(nn.Module):
    """Self-attention written by hand with projections of its own for q, k and v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = (
            layer(x).view(n, tokens, self.heads, -1).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width))


class EncoderBlock(nn.Module):
    """A pre-norm block around an attention written by hand."""

    def __init__(self, attention: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), attention, nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A convolutional tokenizer, encoder blocks, sequence pooling by attention."""

    def __init__(self, *blocks: nn.Module, width: int = 8) -> None:
        super().__init__()
        self.tokenizer = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2))
        self.position = nn.Parameter(torch.randn(1, 4, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.pool, self.out = nn.LayerNorm(width), nn.Linear(width, 1), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokenizer(x).flatten(2).transpose(1, 2) + self.position
        tokens = self.norm(self.blocks(tokens))
        weights = self.pool(tokens).softmax(1)
        return self.out((weights.transpose(1, 2) @ tokens).squeeze(1))


def encoder(norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.1, batch_first=True, norm_first=norm_first)
    other = nn.TransformerEncoderLayer(8, 4, 10, dropout=0.1, batch_first=True, norm_first=norm_first)
    return Transformer(layer, other)


class CrossAttention(nn.Module):
    """A decoder layer that attends to a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.memory = nn.Linear(3, 8), nn.Linear(3, 8)
        self.decoder = nn.TransformerDecoderLayer(8, 2, 12, batch_first=True)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.decoder(self.inputs(x), torch.tanh(self.memory(x))).mean(1))


class Recurrent(nn.Module):
    """A recurrent core whose mean answer over time is classified."""

    def __init__(self, core: nn.RNNBase) -> None:
        super().__init__()
        self.core = core
        self.out = nn.Linear(core.hidden_size * (2 if core.bidirectional else 1), CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.core(x)[0].mean(1))


class FinalStates(nn.Module):
    """The last hidden states of both directions, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.core = nn.Linear(3, 6), nn.GRU(6, 4, batch_first=True, bidirectional=True)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states = self.core(self.inputs(x))[1]
        return self.out(torch.cat([states[0], states[1]], dim=1))


def group_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.GroupNorm(1, 6),
        nn.PReLU(6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


class Concatenation(nn.Module):
    """Two branches whose channels are laid side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 3, 1)
        self.join, self.out = nn.Conv2d(7, 5, 3), nn.Linear(5 * 6 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([F.relu(self.left(x)), torch.tanh(self.right(x))], dim=1)
        return self.out(F.relu(self.join(joined)).flatten(1))


class FlattenedSequence(nn.Module):
    """Units at each of four times, laid side by side: those of one unit are far apart."""

    def __init__(self) -> None:
        super().__init__()
        self.units, self.out = nn.Linear(3, 6), nn.Linear(4 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.units(x)).flatten(1))


class TiedEmbedding(nn.Module):
    """A language model whose decoder is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.up, self.down = nn.Linear(6, 9), nn.Linear(9, 6)
        self.decode = nn.Linear(6, 7, bias=False)
        self.decode.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens).mean(1)
        return self.decode(x + self.down(F.relu(self.up(x))))


class DataDependent(nn.Module):
    """A forward pass that branches on the data, through numbers that leave the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        order = torch.from_numpy(hidden.detach().abs().mean(0).numpy().argsort(kind="stable").copy())
        return self.out(hidden * (1 + order.to(hidden.dtype)))


def images() -> Tensor:
    return torch.randn(SAMPLES, 1, 8, 8)


def vectors() -> Tensor:
    return torch.randn(SAMPLES, 6)


def sequences() -> Tensor:
    return torch.randn(SAMPLES, 4, 3)


def words() -> Tensor:
    return torch.randint(7, (SAMPLES, 4))


def blocks(kind: Callable[[int, int], nn.Module]) -> nn.Module:
    return Transformer(*(EncoderBlock(kind(8, heads), 8, 11) for heads in (2, 4)))


@dataclass(frozen=True, eq=False)
class Net:
    """A network and its symmetry.

    Attributes
    ----------
    groups
        How many units each group has, by its name.
    homogeneous
        The groups whose units may be rescaled.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    groups: dict[str, int] = field(default_factory=dict)
    homogeneous: frozenset[str] = frozenset()

    def model(self, seed: int = 0) -> nn.Module:
        """In float64 and eval mode; norm layers, biases and running statistics are not as they were initialised."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build().double().eval()
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                if not tensor.is_floating_point():
                    continue
                if name.endswith("running_var"):
                    tensor.data.uniform_(0.5, 2)
                elif tensor.ndim == 1:
                    tensor.data.add_(0.3 * torch.randn_like(tensor))
        return model

    def batch(self, seed: int = 1) -> tuple[Tensor, Tensor]:
        """Inputs and targets."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inputs = self.inputs()
            classes = 7 if inputs.dtype == torch.int64 else CLASSES
            return inputs.double() if inputs.is_floating_point() else inputs, torch.randint(classes, (SAMPLES,))

    def landscape(self, model: nn.Module | None = None) -> NetworkLandscape:
        batches = Batches((self.batch(),), SAMPLES, "made up", "data")
        return NetworkLandscape(model or self.model(), cross_entropy, batches)


def point_of(model: nn.Module, name: str = "a") -> Point:
    """The point at which a model's weights and buffers are."""
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    others = [*model.named_parameters(), *model.named_buffers()]
    rest = {n: t.detach().clone() for n, t in others if n not in trainable}
    return Point(torch.cat([p.detach().reshape(-1) for p in trainable.values()]), id=name, buffers=rest)


RESNET = {
    "conv": 4,
    "stage1.0.conv1": 4,
    "stage1.1.conv1": 4,
    "stage2.0.conv1": 8,
    "stage2.0.conv2": 8,
    "stage2.1.conv1": 8,
}

ENCODER = {
    "tokenizer.0": 8,
    "blocks.0.self_attn heads": 2,
    "blocks.0.linear1": 12,
    "blocks.1.self_attn heads": 4,
    "blocks.1.linear1": 10,
}

BLOCKS = {
    "tokenizer.0": 8,
    "blocks.0.attention heads": 2,
    "blocks.0.mlp.0": 11,
    "blocks.1.attention heads": 4,
    "blocks.1.mlp.0": 11,
}

CROSS = {"inputs": 8, "decoder.self_attn heads": 2, "decoder.multihead_attn heads": 2, "decoder.linear1": 12}

GROUP_NORM = {"0, part 1": 4, "0, part 2": 4, "0, blocks": 2, "3": 6}

NETS = [
    Net("mlp", mlp, vectors, {"0": 8, "2": 7}, frozenset({"0", "2"})),
    Net("functional mlp", FunctionalMLP, images, {"first": 9, "second": 6}, frozenset({"first"})),
    Net("cnn", cnn, images, {"0": 6, "4": 5, "9": 7}, frozenset({"0", "4", "9"})),
    Net("resnet", ResNet, images, RESNET, frozenset(RESNET)),
    Net("separable", separable, images, {"0": 6, "6.reduce": 3, "7": 8}, frozenset({"6.reduce", "7"})),
    Net(
        "encoder, norm last",
        lambda: encoder(False),
        images,
        ENCODER,
        frozenset({"blocks.0.linear1", "blocks.1.linear1"}),
    ),
    Net(
        "encoder, norm first",
        lambda: encoder(True),
        images,
        ENCODER,
        frozenset({"tokenizer.0", "blocks.0.linear1", "blocks.1.linear1"}),
    ),
    Net("fused attention", lambda: blocks(FusedAttention), images, BLOCKS, frozenset({"tokenizer.0"})),
    Net("attention fused by head", lambda: blocks(FusedByHead), images, BLOCKS, frozenset({"tokenizer.0"})),
    Net("separate attention", lambda: blocks(SeparateAttention), images, BLOCKS, frozenset({"tokenizer.0"})),
    Net("cross attention", CrossAttention, sequences, CROSS, frozenset({"decoder.linear1"})),
    Net("lstm", lambda: Recurrent(nn.LSTM(3, 5, batch_first=True)), sequences, {"core.l0": 5}),
    Net(
        "lstm, two layers both ways",
        lambda: Recurrent(nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)),
        sequences,
        {"core.l0": 4, "core.l0_reverse": 4, "core.l1": 4, "core.l1_reverse": 4},
    ),
    Net(
        "gru, two layers", lambda: Recurrent(nn.GRU(3, 5, 2, batch_first=True)), sequences, {"core.l0": 5, "core.l1": 5}
    ),
    Net(
        "rnn",
        lambda: Recurrent(nn.RNN(3, 5, batch_first=True, nonlinearity="relu")),
        sequences,
        {"core.l0": 5},
        frozenset({"core.l0"}),
    ),
    Net(
        "final states",
        FinalStates,
        sequences,
        {"inputs": 6, "core.l0": 4, "core.l0_reverse": 4},
        frozenset({"inputs"}),  # nothing curved lies between them and the core
    ),
    Net("group norm", group_norm, images, GROUP_NORM, frozenset(GROUP_NORM)),
    Net("concatenation", Concatenation, images, {"left": 4, "right": 3, "join": 5}, frozenset({"left", "join"})),
    Net("flattened sequence", FlattenedSequence, sequences, {"units": 6}, frozenset({"units"})),
    Net("tied embedding", TiedEmbedding, words, {"embed": 6, "up": 9}, frozenset({"up"})),
]

BY_NAME = {net.name: net for net in NETS}
EACH_NET = [(net.name, net) for net in NETS]
