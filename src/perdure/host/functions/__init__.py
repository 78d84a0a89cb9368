"""The functions of an app as the host knows them, and the routes that lead to them."""
