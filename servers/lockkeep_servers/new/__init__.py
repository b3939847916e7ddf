"""New servers: `fleet` is a whole one, and what `lockkeep-servers new NAME --full` copies."""
