/*
 * combine - Robinson's and Fisher's arithmetic: counts to a token's probability, many of them to
 * one. Pure functions of their arguments: any thread.
 */
#ifndef LEARN_COMBINE_H
#define LEARN_COMBINE_H

#include <stddef.h>
#include <stdint.h>

/* A token seen in counts[class] of learned[class] messages (indexes of enum class; both learned are
 * above 0): its probability of spam, drawn to one half where it was seldom seen. */
double combine_token(const uint32_t counts[2], const uint64_t learned[2]);
/* n probabilities within (0, 1), read as independent witnesses: ln(p / (1 - p)) of their common
 * verdict. 0 for n = 0. */
double combine_log_odds(const double *spam, size_t n);
/* How much of the log odds to believe when so many messages were learnt: 0..1, rising smoothly with
 * the smaller class. */
double combine_trust(const uint64_t learned[2]);
/* 1 / (1 + exp(-log_odds)) */
double combine_probability(double log_odds);

#endif
