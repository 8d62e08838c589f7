"""Stage one: optical flow from events. Tensors in, tensors out."""

from flownet.losses import endpoint_loss, event_loss, focus_loss, frame_loss
from flownet.model import FlowNet, FlowNetConfig
from flownet.warping import backward_warp

__all__ = [
    "FlowNet",
    "FlowNetConfig",
    "backward_warp",
    "endpoint_loss",
    "event_loss",
    "focus_loss",
    "frame_loss",
]
