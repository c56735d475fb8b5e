/*
 * report - an exam's JSON object as text for people. What comes from a message is made harmless
 * for a terminal.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* explain: also why each symbol stands there ("explanation" of a symbol, else its "because"). */
void report_verdict(json_t *verdict, bool explain, FILE *to);
/* Any JSON as indented "name  value" lines. */
void report_tree(json_t *value, int indent, FILE *to);

#endif
