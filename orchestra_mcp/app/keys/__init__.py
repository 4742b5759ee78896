"""Keys of vendors: the file they lie in (`keyfile`), and how they are saved and tried while Orchestra runs (`keyring`)."""
