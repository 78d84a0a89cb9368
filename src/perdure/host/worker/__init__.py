"""The process in which user code runs: it finds the functions of an app and calls them."""
