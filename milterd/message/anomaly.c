#include "config.h"

#include "milterd/message/anomaly.h"

#include <assert.h>

static const struct anomaly_row rows[] = {
#define X(id, name, about) [ANOMALY_##id] = { name, about },
	ANOMALIES(X)
#undef X
};

static_assert(ANOMALY_COUNT <= 64, "anomaly_bits holds a bit for each");

const struct anomaly_row *message_anomalies(size_t *n)
{
	*n = COUNT(rows);
	return rows;
}

void anomalies_list(struct message *m)
{
	if (m->arena.failed)
		anomaly_fail(m, ANOMALY_MEMORY);
	m->anomaly_count = 0;
	if (m->anomaly_bits == 0)
		return;
	m->anomalies = arena_take(&m->arena, COUNT(rows) * sizeof(*m->anomalies));
	if (m->anomalies == NULL) {
		m->failed = true;
		return;
	}
	for (size_t i = 0; i < COUNT(rows); i++)
		if (m->anomaly_bits & UINT64_C(1) << i)
			m->anomalies[m->anomaly_count++] = slice_z(rows[i].name);
}
