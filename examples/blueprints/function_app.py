"""An app in pieces: every sub-folder holds a Blueprint, and this module registers them."""

import azure.durable_functions as df
import azure.functions as func
from func01.func1_blueprint import orders
from func02.func2_blueprint import stock

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(orders)
app.register_functions(stock)
