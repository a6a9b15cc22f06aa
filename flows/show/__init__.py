"""What the commands that look say: status, causes, settings, garbage, damage, the machine."""
