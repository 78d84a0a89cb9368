"""What users import: decorators, contexts, client, entities. Knows nothing of engine, stores, hosts or servers."""
