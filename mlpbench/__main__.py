"""`python -m mlpbench` is the command line."""

from mlpbench.cli.main import main

if __name__ == "__main__":
    main(prog_name="mlpbench")
