"""The sections of a report: title, sentences, table and figure of each."""
