"""The checks of the exercises, a file a notebook."""
