"""A hub from outside of its hosts: `perdure.client` for scripts, notebooks and web apps, and the command line."""
