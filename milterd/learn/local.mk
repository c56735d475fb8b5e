# milterd/learn: sources and unit tests of this part
