"""Write the packaged space-group tables anew."""

from wyckflow.crystal._generate.table import main

if __name__ == "__main__":
    main()
