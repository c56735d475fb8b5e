# milterd/rules: sources and unit tests of this part
