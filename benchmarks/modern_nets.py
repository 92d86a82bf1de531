"""Small nets with the blocks of modern ones, for 8 x 8 digits: what older curve finders fail to connect."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["ResidualNet", "SeparableNet", "TokenNet"]


class _Separable(nn.Module):
    """Depthwise 3 x 3, pointwise 1 x 1, batch norm after each, squeeze and excite; a shortcut where shapes allow."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.norm1 = nn.BatchNorm2d(inside)
        self.pointwise = nn.Conv2d(inside, outside, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.squeeze = nn.Conv2d(outside, outside // 4, 1)
        self.excite = nn.Conv2d(outside // 4, outside, 1)
        self.shortcut = inside == outside and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.depthwise(x)))
        y = self.norm2(self.pointwise(y))
        y = y * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return F.relu(y + x if self.shortcut else y)


class SeparableNet(nn.Module):
    """Depthwise-separable blocks with squeeze-excite and batch norm: 7,158 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(_Separable(16, 32, 2), _Separable(32, 32, 1), _Separable(32, 48, 2))
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x.reshape(-1, 1, 8, 8)))
        return self.head(x.mean((2, 3)))


class TokenNet(nn.Module):
    """A convolutional tokenizer, two transformer layers and attention pooling: 5,083 parameters."""

    def __init__(self, width: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, 1)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x.reshape(-1, 1, 8, 8)).flatten(2).transpose(1, 2)
        x = self.norm(self.encoder(x + self.positions))
        weights = self.pool(x).softmax(1)
        return self.head((weights * x).sum(1))


class _Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norm; where shapes change the shortcut is a 1 x 1 projection."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.conv2, self.norm2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        changes = inside != outside or stride != 1
        projection = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        self.shortcut = projection if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResidualNet(nn.Module):
    """Two stages of residual blocks with batch norm and a projection shortcut, as ResNet-20 has them."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(_Residual(width, width, 1), _Residual(width, 2 * width, 2))
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x.reshape(-1, 1, 8, 8))).mean((2, 3)))
