"""perdure: runs Azure Durable Functions apps written in Python, unmodified, on any machine."""

__version__ = "0.1.0"
