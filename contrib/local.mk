# sources of contrib/
