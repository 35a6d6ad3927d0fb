"""Claims judged: numbers per replicate, tests, verdicts, interim analyses and caveats."""
