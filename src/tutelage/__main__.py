"""`python -m tutelage` is the command line."""

from tutelage.cli.main import main

if __name__ == "__main__":
    main()
