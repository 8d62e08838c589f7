"""Stage two: a moving body from events and flow. Tensors in, tensors out."""

from shapenet.model import ShapeNet, ShapeNetConfig, ShapeNetOutput, ShapeNetState

__all__ = ["ShapeNet", "ShapeNetConfig", "ShapeNetOutput", "ShapeNetState"]
