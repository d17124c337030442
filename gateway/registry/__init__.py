"""The registry of connectors (HMS-API, "External System Synchronization"): one way for the API and the command line."""
