"""The rules: pure functions from an instance's state and what its code decided to a commit plan."""
