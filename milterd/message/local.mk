# milterd/message: sources and unit tests of this part
