"""What people see before they vote, the same for every channel: the inbox, the command line, Slack and e-mail."""
