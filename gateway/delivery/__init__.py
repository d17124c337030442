"""The only package with outbound network (`http`), the retry schedule and the delivery worker."""
