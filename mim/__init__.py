"""Machine learning in the mammography programme."""

__version__ = "0.1.0"
