"""Triggers that fire functions by themselves, one file each."""
