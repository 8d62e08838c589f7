"""Residual networks (He et al., "Deep residual learning", CVPR 2016) with free channels and widths.

Parameter names are torchvision's (``conv1``, ``layer1.0.conv1``, ``layer2.0.downsample.0``, ...),
so ImageNet weights for matching widths load by name; the stride sits on a bottleneck's 3x3
convolution, as there.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., fig. 5 left)."""

    expansion = 1

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(cin, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (He et al., fig. 5 right)."""

    expansion = 4

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        cout = width * self.expansion
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.downsample = _shortcut(cin, cout, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


class ResNet(nn.Module):
    """A residual network without its classifier.

    Args:
        in_channels: channels of the input.
        block: "basic" (ResNet-18/34) or "bottleneck" (ResNet-50 and deeper).
        depths: blocks in each of the four stages; (2, 2, 2, 2) is ResNet-18's,
            (3, 4, 6, 3) ResNet-50's.
        widths: channels of each stage, before a bottleneck's expansion by 4.
        stem_kernel: odd side of the stride-2 stem convolution; ResNet's is 7.
    """

    def __init__(
        self,
        in_channels: int,
        block: str,
        depths: Sequence[int],
        widths: Sequence[int],
        stem_kernel: int = 7,
    ) -> None:
        super().__init__()
        if block not in BLOCKS or len(depths) != 4 or len(widths) != 4:
            raise ValueError(f"expected four stages of {sorted(BLOCKS)}, got {block}, {depths}")
        kind = BLOCKS[block]
        cin = widths[0]
        self.conv1 = nn.Conv2d(in_channels, cin, stem_kernel, 2, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(cin)
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                blocks.append(kind(cin, width, stride))
                cin = width * kind.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.channels = [width * kind.expansion for width in widths]
        self.out_channels = cin
        self._initialise()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, in_channels, H, W) to the four stages' maps, fine to coarse: stage s is
        (N, channels, ceil(H/r), ceil(W/r)) with r = 4, 8, 16, 32, the last of ``out_channels``."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            maps.append(x)
        return maps

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _shortcut(cin: int, cout: int, stride: int) -> nn.Module:
    if stride == 1 and cin == cout:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))
