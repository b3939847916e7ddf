"""The thin client: connect a host, bridge stdio to the gateway, call tools from a program."""
