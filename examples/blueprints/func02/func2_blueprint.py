"""Stock: the activities."""

import azure.durable_functions as df

from .shelves import shelf_of

stock = df.Blueprint()


@stock.activity_trigger(input_name="item")
def reserve(item: str) -> str:
    return f"{item} from shelf {shelf_of(item)}"


@stock.function_name("print_label")
@stock.activity_trigger(input_name="parcel")
def make_label(parcel: dict) -> str:
    return f"{parcel['parcels']} parcels to {parcel['to']}"
