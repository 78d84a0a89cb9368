"""The contract of a store, theme by theme; `provider_contract.py` has it as one suite."""
