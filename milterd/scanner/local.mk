# milterd/scanner: sources and unit tests of this part
