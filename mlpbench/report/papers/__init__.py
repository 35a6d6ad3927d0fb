"""What papers take of a report: tables in LaTeX, figures as vectors, and how to cite it."""
