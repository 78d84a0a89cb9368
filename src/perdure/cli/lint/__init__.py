"""Static checks of orchestrators: what replay would do differently, and tasks that go nowhere."""
