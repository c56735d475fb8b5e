# sources of doc/
