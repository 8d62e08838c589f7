"""Stage one: optical flow from events. Tensors in, tensors out."""

from flownet.losses import event_loss, photometric_loss
from flownet.model import FlowNet, FlowNetConfig
from flownet.warping import backward_warp

__all__ = ["FlowNet", "FlowNetConfig", "backward_warp", "event_loss", "photometric_loss"]
