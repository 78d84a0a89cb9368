"""The shared vocabulary: frozen typed values and their encoding. Imports nothing of perdure."""
