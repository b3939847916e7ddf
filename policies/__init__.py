"""What admins edit: policies, workflows, manifests and their tests, packaged as data."""
