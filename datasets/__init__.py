"""Data sets for both stages: layouts on disk, prepared recordings, clips and data modules."""
