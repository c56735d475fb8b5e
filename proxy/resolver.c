#include "config.h"

#include "resolver.h"

#include <event2/event.h>

#include "weir/log.h"

/* "Nameserver 192.0.2.53:53 has failed", "All nameservers have failed": worth a line. The rest is
 * evdns talking to itself. */
static void on_log(int is_warning, const char *text)
{
	struct slice t = slice_z(text);

	if (is_warning)
		log_event(LOG_LEVEL_WARN, "dns", "what", text, NULL);
	else if (slice_starts(t, SLICE("Nameserver ")) || slice_starts(t, SLICE("All ")))
		log_event(LOG_LEVEL_INFO, "dns", "what", text, NULL);
}

struct evdns_base *resolver_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e)
{
	const struct conf_strs *servers = &settings->dns_servers;
	struct evdns_base *dns = evdns_base_new(base,
	    EVDNS_BASE_DISABLE_WHEN_INACTIVE |
		(servers->n == 0 ? EVDNS_BASE_INITIALIZE_NAMESERVERS : 0));

	evdns_set_log_fn(on_log);
	if (dns == NULL) {
		err_set(e, "no name server: see /etc/resolv.conf, or set proxy/dns/servers");
		return NULL;
	}
	for (size_t i = 0; i < servers->n; i++)
		if (evdns_base_nameserver_ip_add(dns, servers->v[i]) != 0) {
			err_set(e, "name server %s cannot be used", servers->v[i]);
			evdns_base_free(dns, 0);
			return NULL;
		}
	return dns;
}
