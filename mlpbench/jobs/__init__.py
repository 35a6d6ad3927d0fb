"""What a command does: run, judge, verify, merge, trim, export, write pages."""
