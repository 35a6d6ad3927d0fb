"""Tests, intervals and effect sizes, each with its formula and source; numbers in, numbers out."""
