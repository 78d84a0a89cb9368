"""Figures and spans for machines: metrics, traces, the host monitor."""
