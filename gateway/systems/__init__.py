"""Systems: what a person or a program starts at one system by name, beyond keeping it in step."""
