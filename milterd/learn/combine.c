#include "config.h"

#include "combine.h"

#include <math.h>

/* Robinson's prior: a token that was never seen is worth PRIOR_SPAM, and that is believed as much
 * as PRIOR_WEIGHT messages. */
static const double PRIOR_SPAM = 0.5, PRIOR_WEIGHT = 0.15;
/* Half of the log odds are believed when so many messages of the smaller class were learnt: what a
 * handful of messages never showed is not yet a sign of the other class. */
static const double TRUST_HALF = 30;
static const double LOG_ODDS_MAX = 700; /* exp() of it is still a double */

double combine_token(const uint32_t counts[2], const uint64_t learned[2])
{
	double ham = counts[0] / (double)learned[0], spam = counts[1] / (double)learned[1];
	double seen = (double)counts[0] + counts[1];

	if (seen == 0)
		return PRIOR_SPAM;
	return (PRIOR_WEIGHT * PRIOR_SPAM + seen * (spam / (ham + spam))) / (PRIOR_WEIGHT + seen);
}

/* The two tails of a chi-square variable with 2n degrees of freedom at 2x, as logarithms, each
 * computed from its own series so that neither loses its digits to the other:
 *   upper = exp(-x) * sum over k < n  of x^k / k!     (the terms fall from k = n-1 down for x >= n)
 *   lower = exp(-x) * sum over k >= n of x^k / k!     (the terms fall from k = n up   for x <  n)
 */
struct tails {
	double upper, lower;
};
static struct tails chi_square_tails(size_t n, double x)
{
	const double shape = (double)n;
	double sum = 1, term = 1, log_first;
	struct tails t;
	int sign;

	if (x <= 0)
		return (struct tails){ .upper = 0, .lower = -LOG_ODDS_MAX };
	if (x < shape) {
		for (double k = shape + 1; term > sum * 1e-17; k++)
			sum += term *= x / k;
		log_first = shape * log(x) - x - lgamma_r(shape + 1, &sign);
		t.lower = fmin(log_first + log(sum), -1e-300);
		t.upper = log1p(-exp(t.lower));
	} else {
		for (double k = shape - 1; k > 0 && term > sum * 1e-17; k--)
			sum += term *= k / x;
		log_first = (shape - 1) * log(x) - x - lgamma_r(shape, &sign);
		t.upper = fmin(log_first + log(sum), -1e-300);
		t.lower = log1p(-exp(t.upper));
	}
	return t;
}

/* ln(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
	double high = fmax(a, b), low = fmin(a, b);

	return high + log1p(exp(low - high));
}

/* Robinson's indicator is (1 + H - S) / 2 with S and H the upper tails of -2 sum ln(1 - p) and
 * -2 sum ln(p). Its odds are (1 - S + H) / (1 - H + S), and 1 - S is the lower tail. */
double combine_log_odds(const double *spam, size_t n)
{
	double ham_x = 0, spam_x = 0, odds;
	struct tails h, s;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		ham_x -= log(spam[i]);
		spam_x -= log1p(-spam[i]);
	}
	h = chi_square_tails(n, ham_x);
	s = chi_square_tails(n, spam_x);
	odds = log_add(s.lower, h.upper) - log_add(h.lower, s.upper);
	return fmax(-LOG_ODDS_MAX, fmin(LOG_ODDS_MAX, odds));
}

double combine_trust(const uint64_t learned[2])
{
	double fewer = (double)(learned[0] < learned[1] ? learned[0] : learned[1]);

	return fewer / (fewer + TRUST_HALF);
}

double combine_probability(double log_odds)
{
	return 1 / (1 + exp(-log_odds));
}
