# milterd/facts: sources and unit tests of this part
