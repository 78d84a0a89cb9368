"""Stores: the protocol and its implementations, which apply commit plans and decide nothing."""
