# lib: sources and unit tests of this part
