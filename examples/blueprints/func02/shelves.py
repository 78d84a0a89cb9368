"""A plain module beside the blueprint."""


def shelf_of(item: str) -> str:
    return item[0].upper()
