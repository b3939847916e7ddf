"""The notify server: mail that waits a while before it goes, and posts to the team's channels."""
