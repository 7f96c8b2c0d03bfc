"""`python -m organscope`."""

from organscope.cli.main import main

if __name__ == "__main__":
    main()
