"""The geometry of loss landscapes, from saved checkpoints."""
