"""One module per system, describing its calls as values: a generator of requests, fed with replies. No I/O inside."""
