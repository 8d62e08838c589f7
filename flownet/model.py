"""FlowNet: an encoder-decoder that reads one window of events and gives optical flow.

The plan is EV-FlowNet's (Zhu et al., "EV-FlowNet", RSS 2018, fig. 4) in the form of EventHPE (Zou
et al., ICCV 2021): four strided encoders, one residual block, four decoders with skip connections,
and a flow prediction on each of four scales that the next decoder reads.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 4, 2, 1)  # of the returned flows, coarse to fine
_DEEPEST_STRIDE = 16


@dataclass(frozen=True)
class FlowNetConfig:
    """Everything that rebuilds a FlowNet; ``dataclasses.asdict`` of it is JSON.

    Attributes:
        in_channels: channels of the event representation.
        base_channels: channels of the first encoder; each next encoder has twice as many.
        max_displacement: bound of each flow component, in full-resolution pixels per window.
        decoders: scales that have a decoder and a head of their own, 1 to 4 from the coarsest on;
            finer flows are the last decoded one, bilinearly enlarged.
        refine: each head adds to the enlarged flow of the coarser scale, in place of predicting
            the whole flow anew as published. Events alone tell a fine scale only of errors of a
            pixel or two: fitted to dots moving by 7.6 px, the finest scale stayed at 5.9 px of
            error anew, and came to 0.9 px refining.
    """

    in_channels: int = 8
    base_channels: int = 32
    max_displacement: float = 256.0
    decoders: int = 4
    refine: bool = False

    def __post_init__(self) -> None:
        if min(self.in_channels, self.base_channels) < 1 or self.max_displacement <= 0:
            raise ValueError(f"channels and max_displacement must be positive, got {self}")
        if not 1 <= self.decoders <= len(STRIDES):
            raise ValueError(f"decoders must be 1 to {len(STRIDES)}, got {self.decoders}")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"base_channels": 32, "max_displacement": 256.0, "decoders": 4},
    "small": {"base_channels": 16, "max_displacement": 64.0, "decoders": 3, "refine": True},
}


class FlowNet(nn.Module):
    """Optical flow from a window of events.

    The paper's count of 3,337,984 parameters (8 channels) fixes the free choices: no convolution
    has a bias, the 1x1 heads included; a decoder is a transposed 3x3 convolution and a 3x3
    convolution, each with batch normalisation and ReLU; the residual block is two 3x3 convolutions
    with batch normalisation and an identity shortcut; the first decoder also reads the last
    encoder's output beside the residual block's; decoder widths are 128, 64, 32 and 16.
    """

    def __init__(self, config: FlowNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels * 2**level for level in range(len(STRIDES))]
        inputs = [config.in_channels, *widths[:-1]]
        self.encoders = nn.ModuleList(
            nn.Sequential(*_conv(cin, width, stride=2), *_conv(width, width))
            for cin, width in zip(inputs, widths, strict=True)
        )
        self.residual = nn.Sequential(*_conv(widths[-1], widths[-1]), *_conv(widths[-1])[:-1])
        self.decoders = nn.ModuleList()
        self.heads = nn.ModuleList()
        flow_channels = 0
        for width in widths[::-1][: config.decoders]:
            out = max(width // 2, 1)
            self.decoders.append(
                nn.Sequential(*_upconv(2 * width + flow_channels, out), *_conv(out, out))
            )
            self.heads.append(nn.Conv2d(out, 2, 1, bias=False))
            flow_channels = 2
        self._initialise()

    @classmethod
    def preset(cls, name: str, in_channels: int = 8) -> "FlowNet":
        """Build the "paper" or the "small" network for ``in_channels`` event channels."""
        return cls(preset_config(name, in_channels))

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON values: ``FlowNet(FlowNetConfig(**config_dict))``."""
        return asdict(self.config)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Predict flow on four scales.

        Args:
            x: events (B, C, H, W), any H and W; borders are zero-padded to a multiple of 16 inside.

        Returns:
            Flows coarse to fine, (B, 2, ceil(H/s), ceil(W/s)) for s in (8, 4, 2, 1): channels (u
            right, v down), displacement from the window's start to its end **in pixels of the input
            grid at every scale** (a coarse flow is not in coarse pixels, so it is never multiplied
            by its stride). A pixel of the scale s has its centre at (i + 0.5) s - 0.5 of the input.

        Raises:
            ValueError: when ``x`` is not (B, in_channels, H, W).
        """
        if x.ndim != 4 or x.shape[1] != self.config.in_channels:
            raise ValueError(f"expected (B, {self.config.in_channels}, H, W), got {tuple(x.shape)}")
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % _DEEPEST_STRIDE, 0, -height % _DEEPEST_STRIDE))
        # Channels-last is a third faster on CPUs; weights keep the layout that safetensors stores.
        x = x.contiguous(memory_format=torch.channels_last)
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        x = functional.relu(x + self.residual(x))
        flows: list[Tensor] = []
        logit = x.new_zeros(())
        for decoder, head in zip(self.decoders, self.heads, strict=True):
            # The previous head's tanh, not its pixels, so that features keep a common range.
            x = decoder(torch.cat([x, skips.pop(), *flows[-1:]], dim=1))
            coarser = upsample_flow(logit, 2) if self.config.refine and flows else 0.0
            logit = head(x) + coarser
            flows.append(torch.tanh(logit))
        while len(flows) < len(STRIDES):
            flows.append(upsample_flow(flows[-1], 2))
        return [
            self.config.max_displacement * flow[..., : -(-height // s), : -(-width // s)]
            for flow, s in zip(flows, STRIDES, strict=True)
        ]

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        # Start near zero flow: the losses' gradients reach only about as far as events are sharp.
        for head in self.heads:
            nn.init.normal_(head.weight, std=1e-3)  # type: ignore[arg-type]


def preset_config(name: str, in_channels: int = 8) -> FlowNetConfig:
    """Return the configuration of a preset.

    Raises:
        ValueError: for a name that is not a preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown FlowNet preset {name!r}; there are {sorted(PRESETS)}")
    return FlowNetConfig(in_channels=in_channels, **PRESETS[name])


def flow_in_sides(network: FlowNet, events: Tensor, size: int) -> Tensor:
    """Return the finest flow as stage two reads it: in sides of the image, on its own grid.

    Args:
        network: FlowNet.
        events: (B, C, S, S).
        size: side of the grid asked for, pixels; flow is averaged onto it by area.

    Returns:
        (B, 2, size, size), displacement over the window divided by the side.
    """
    flow = network(events)[-1] / events.shape[-1]
    return functional.interpolate(flow, size=(size, size), mode="area")


def upsample_flow(flow: Tensor, factor: int) -> Tensor:
    """Enlarge (B, 2, H, W) bilinearly by ``factor`` on the pixel-centre grid; values are kept."""
    if factor == 1:
        return flow
    return functional.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)


def _conv(cin: int, cout: int | None = None, stride: int = 1) -> list[nn.Module]:
    cout = cout or cin
    conv = nn.Conv2d(cin, cout, 3, stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(cout), nn.ReLU(inplace=True)]


def _upconv(cin: int, cout: int) -> list[nn.Module]:
    conv = nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1, bias=False)
    return [conv, nn.BatchNorm2d(cout), nn.ReLU(inplace=True)]
