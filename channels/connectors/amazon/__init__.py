"""What the connectors to Amazon's Selling Partner API have in common: tokens, calls, usage plans, documents, the queue."""
