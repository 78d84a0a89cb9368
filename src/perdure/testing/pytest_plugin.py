"""The pytest plugin: in users' unit tests `azure.durable_functions` is perdure's, whatever else is installed."""

from __future__ import annotations

from perdure import azure_names

azure_names.install()
