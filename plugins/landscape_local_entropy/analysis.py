"""The ``local-entropy`` analysis."""
