"""What we serve to our own partners in Metriport's shape (docs/how-to/serve-metriport-clients.md)."""
