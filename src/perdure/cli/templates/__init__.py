"""Templates: what `perdure init` and `perdure new` write, as data files and the code that fills them in."""
