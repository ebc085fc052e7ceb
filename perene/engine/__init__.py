"""Running the program: read what it declares without the CLI, render it, apply it; and with the CLI, its calls."""
