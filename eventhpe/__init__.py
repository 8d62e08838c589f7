"""EventHPE: event-camera recordings to moving 3D human meshes."""
