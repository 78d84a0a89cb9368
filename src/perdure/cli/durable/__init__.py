"""`perdure durable ...`: instances and entities from the command line, with the host up or down."""
