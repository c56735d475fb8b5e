# proxy/filter: sources and unit tests of this part
