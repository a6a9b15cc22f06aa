"""`python -m turnaround`: the command line."""

from turnaround.flows.cli.app import main

if __name__ == "__main__":
    main()
