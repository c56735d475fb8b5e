# sources of rules/
