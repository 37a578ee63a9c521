"""Device, precision, memory and threads: what the machine at hand can do, found out by looking and by trying."""
