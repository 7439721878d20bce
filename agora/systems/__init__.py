"""One package per ML system, all of one shape. Importing one loads no other."""
