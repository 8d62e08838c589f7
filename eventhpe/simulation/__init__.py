"""Simulated recordings: procedural motions, scenes, an event-camera model, and exact truth."""

from eventhpe.simulation.simulate import SimulationConfig, simulate
from eventhpe.simulation.truth import SimulatedTruth, TrueSurface

__all__ = ["SimulatedTruth", "SimulationConfig", "TrueSurface", "simulate"]
