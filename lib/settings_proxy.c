#include "config.h"

#include "settings_tables.h"

#define AT(member) offsetof(struct certificate_settings, member)
/* clang-format off */
static const struct conf_field certificate_fields[] = {
	{ .name = "chain", .type = CONF_STR, .offset = AT(chain), .fallback = NULL, .min = 1, .max = 4000, .unit = "",
	  .about = "PEM file: the server's certificate, then those that lead to its root." },
	{ .name = "key", .type = CONF_STR, .offset = AT(key), .fallback = "", .max = 4000, .unit = "",
	  .about = "PEM file with the private key, without a pass phrase; empty: it stands in chain too." },
};
/* clang-format on */
#undef AT
static const struct conf_table certificate_table = { "certificates", certificate_fields,
	COUNT(certificate_fields), sizeof(struct certificate_settings) };

#define AT(member) offsetof(struct listen_settings, member)
/* clang-format off */
static const struct conf_field listen_fields[] = {
	{ .name = "address", .type = CONF_ENDPOINT, .offset = AT(address), .fallback = NULL, .unit = "",
	  .about = "Where to listen: ADDRESS:PORT or [v6]:PORT." },
	{ .name = "name", .type = CONF_STR, .offset = AT(name), .fallback = "", .max = 64, .unit = "",
	  .about = "What rules see as listener.name and filters as {daemon_name}; empty stands for the address." },
	{ .name = "proxy_protocol/from", .type = CONF_NETWORKS, .offset = AT(proxy_from), .fallback = "[]", .max = 1000, .unit = "",
	  .about = "Networks of load balancers: who connects from there must begin with a header of the PROXY protocol, version 1 or 2, that names the client." },
	{ .name = "xclient/from", .type = CONF_NETWORKS, .offset = AT(xclient_from), .fallback = "[]", .max = 1000, .unit = "",
	  .about = "Networks of clients that may say for whom they speak, with XCLIENT." },
	{ .name = "protocol_violations", .type = CONF_CHOICE, .offset = AT(protocol_violations), .fallback = "close", .unit = "", .choices = "close|note",
	  .about = "What early talk, commands sent ahead where RFC 2920 forbids it, and what is no SMTP lead to: the end of the session, or no more than a note in the log and for the filters." },
	{ .name = "tls", .type = CONF_CHOICE, .offset = AT(tls), .fallback = "off", .unit = "", .choices = "off|offer|require|implicit",
	  .about = "STARTTLS is not there, is offered, or must come before mail; implicit: TLS from the first octet, as on port 465." },
	{ .name = "certificates", .type = CONF_LIST, .offset = AT(certificates), .fallback = "[]", .max = 64, .unit = "", .table = &certificate_table,
	  .about = "What TLS shows of us: the first is the default, the others are chosen by the name that the client asks for; RSA and ECDSA of one name stand side by side." },
	{ .name = "tls_minimum", .type = CONF_CHOICE, .offset = AT(tls_minimum), .fallback = "1.2", .unit = "", .choices = "1.2|1.3",
	  .about = "The oldest version of TLS that is spoken." },
	{ .name = "tls_policy", .type = CONF_CHOICE, .offset = AT(tls_policy), .fallback = "intermediate", .unit = "", .choices = "modern|intermediate",
	  .about = "Ciphers, groups and versions by the names of Mozilla's recommendations; modern is TLS 1.3 alone, whatever tls_minimum says." },
	{ .name = "client_certificates", .type = CONF_CHOICE, .offset = AT(client_certificates), .fallback = "off", .unit = "", .choices = "off|ask",
	  .about = "Ask clients for a certificate, never insist on it; filters see whose it is." },
	{ .name = "client_ca", .type = CONF_STR, .offset = AT(client_ca), .fallback = "", .max = 4000, .unit = "",
	  .about = "PEM file with the authorities that client certificates are checked against, for {verify}; empty: none is known." },
};
/* clang-format on */
#undef AT
static const struct conf_table listen_table = { "listen", listen_fields, COUNT(listen_fields),
	sizeof(struct listen_settings) };

#define AT(member) offsetof(struct filter_settings, member)
/* clang-format off */
static const struct conf_field filter_fields[] = {
	{ .name = "name", .type = CONF_STR, .offset = AT(name), .fallback = NULL, .min = 1, .max = 64, .unit = "",
	  .about = "The filter's name in the log." },
	{ .name = "socket", .type = CONF_ENDPOINT, .offset = AT(socket), .fallback = NULL, .unit = "",
	  .about = "Where the filter listens: unix:PATH or inet:HOST:PORT." },
	{ .name = "on_failure", .type = CONF_CHOICE, .offset = AT(on_failure), .fallback = "tempfail", .unit = "", .choices = "tempfail|accept|reject|quarantine",
	  .about = "What a filter that cannot be asked means for the message; quarantine marks it with a header field." },
	{ .name = "connect_timeout_s", .type = CONF_INT, .offset = AT(connect_timeout_s), .fallback = "10", .min = 1, .max = 600, .unit = "s",
	  .about = "How long connecting and negotiating may take." },
	{ .name = "command_timeout_s", .type = CONF_INT, .offset = AT(command_timeout_s), .fallback = "30", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a reply to an envelope event may take." },
	{ .name = "content_timeout_s", .type = CONF_INT, .offset = AT(content_timeout_s), .fallback = "240", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a reply to a content event may take; every progress report starts it again." },
	{ .name = "total_timeout_s", .type = CONF_INT, .offset = AT(total_timeout_s), .fallback = "240", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long the answer to the end of message may take in all, progress reports or not; SMTP clients wait 600 s." },
};
/* clang-format on */
#undef AT
static const struct conf_table filter_table = { "filters", filter_fields, COUNT(filter_fields),
	sizeof(struct filter_settings) };

#define AT(member) offsetof(struct backend_settings, member)
/* clang-format off */
static const struct conf_field backend_fields[] = {
	{ .name = "name", .type = CONF_STR, .offset = AT(name), .fallback = "", .max = 64, .unit = "",
	  .about = "The backend's name in the log; its key stands in." },
	{ .name = "servers", .type = CONF_STRS, .offset = AT(servers), .fallback = NULL, .min = 1, .max = 64, .unit = "",
	  .about = "SMTP servers, HOST:PORT, in order of preference: the next is asked when one cannot be reached." },
	{ .name = "keep/connections", .type = CONF_INT, .offset = AT(keep.connections), .fallback = "20", .max = 10000, .unit = "",
	  .about = "How many connections to a server each worker keeps for messages to come; 0: a connection for each message." },
	{ .name = "keep/idle_s", .type = CONF_INT, .offset = AT(keep.idle_s), .fallback = "5", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a kept connection may wait for the next message; less than the backend itself waits (Postfix under stress: 10 s)." },
	{ .name = "keep/messages", .type = CONF_INT, .offset = AT(keep.messages), .fallback = "500", .min = 1, .max = 1000000, .unit = "",
	  .about = "How many transactions one connection carries before it ends." },
	{ .name = "chunking", .type = CONF_CHOICE, .offset = AT(chunking), .fallback = "auto", .unit = "", .choices = "auto|off",
	  .about = "Messages go by BDAT (RFC 3030) where a server lists CHUNKING, or always by DATA." },
	{ .name = "tls", .type = CONF_CHOICE, .offset = AT(tls), .fallback = "off", .unit = "", .choices = "off|may|require|verify",
	  .about = "TLS towards the servers: never, where it can be had, always, or always with a certificate that is good for the server's name." },
	{ .name = "tls_implicit", .type = CONF_BOOL, .offset = AT(tls_implicit), .fallback = "false", .unit = "",
	  .about = "TLS from the first octet, as on port 465, instead of STARTTLS; wants tls require or verify." },
	{ .name = "tls_name", .type = CONF_STR, .offset = AT(tls_name), .fallback = "", .max = 255, .unit = "",
	  .about = "The name that is asked for and verified; empty stands for the server's host." },
	{ .name = "ca", .type = CONF_STR, .offset = AT(ca), .fallback = "", .max = 4000, .unit = "",
	  .about = "PEM file with the authorities that tls verify trusts; empty: the system's." },
};
/* clang-format on */
#undef AT
static const struct conf_table backend_table = { "backends", backend_fields, COUNT(backend_fields),
	sizeof(struct backend_settings) };

#define AT(member) offsetof(struct bare_newline_exception, member)
/* clang-format off */
static const struct conf_field exception_fields[] = {
	{ .name = "from", .type = CONF_NETWORKS, .offset = AT(from), .fallback = NULL, .min = 1, .max = 1000, .unit = "",
	  .about = "Networks of clients." },
	{ .name = "policy", .type = CONF_CHOICE, .offset = AT(policy), .fallback = NULL, .unit = "", .choices = "normalize|reject|note",
	  .about = "What holds for them in place of bare_newline." },
};
/* clang-format on */
#undef AT
static const struct conf_table exception_table = { "bare_newline_exceptions", exception_fields,
	COUNT(exception_fields), sizeof(struct bare_newline_exception) };

#define AT(member) offsetof(struct proxy_settings, member)
/* clang-format off */
static const struct conf_field proxy_fields[] = {
	{ .name = "hostname", .type = CONF_STR, .offset = AT(hostname), .fallback = "", .max = 255, .unit = "",
	  .about = "The name in the greeting, in EHLO towards backends and in Received; empty stands for the machine's name." },
	{ .name = "listen", .type = CONF_LIST, .offset = AT(listen), .fallback = "[{\"address\": \"127.0.0.1:2525\"}]", .min = 1, .max = 64, .unit = "", .table = &listen_table,
	  .about = "The sockets that speak SMTP to the world." },
	{ .name = "filters", .type = CONF_LIST, .offset = AT(filters), .fallback = "[]", .max = 32, .unit = "", .table = &filter_table,
	  .about = "The milter filters, asked in this order." },
	{ .name = "backends", .type = CONF_MAP, .offset = AT(backends), .fallback = "{\"default\": {\"servers\": [\"127.0.0.1:2526\"]}}", .min = 1, .max = 64, .unit = "", .table = &backend_table,
	  .about = "Where mail goes; \"default\" must be there." },
	{ .name = "limits/message_bytes", .type = CONF_INT, .offset = AT(limits.message_bytes), .fallback = "52428800", .min = 1024, .max = 4e9, .unit = "octets",
	  .about = "The largest message; it stands in the SIZE of EHLO." },
	{ .name = "limits/recipients", .type = CONF_INT, .offset = AT(limits.recipients), .fallback = "1000", .min = 100, .max = 100000, .unit = "",
	  .about = "Recipients of one message; each one more gets 452 4.5.3 (RFC 5321 asks for at least 100)." },
	{ .name = "limits/sessions", .type = CONF_INT, .offset = AT(limits.sessions), .fallback = "10000", .min = 1, .max = 1000000, .unit = "",
	  .about = "Sessions at once over all workers; one more gets 421 4.3.2." },
	{ .name = "limits/sessions_per_client", .type = CONF_INT, .offset = AT(limits.sessions_per_client), .fallback = "50", .min = 1, .max = 1000000, .unit = "",
	  .about = "Sessions at once from one client address; one more gets 421 4.7.0." },
	{ .name = "limits/errors_soft", .type = CONF_INT, .offset = AT(limits.errors_soft), .fallback = "10", .min = 1, .max = 1000000, .unit = "",
	  .about = "Errors of a session after which every reply is delayed." },
	{ .name = "limits/errors_hard", .type = CONF_INT, .offset = AT(limits.errors_hard), .fallback = "20", .min = 1, .max = 1000000, .unit = "",
	  .about = "Errors of a session after which it ends with 421 4.7.0." },
	{ .name = "limits/junk_commands", .type = CONF_INT, .offset = AT(limits.junk_commands), .fallback = "100", .min = 1, .max = 1000000, .unit = "",
	  .about = "NOOP, RSET, HELO, VRFY and the like without a delivery between; each one more counts as an error." },
	{ .name = "limits/command_bytes", .type = CONF_INT, .offset = AT(limits.command_bytes), .fallback = "2048", .min = 1536, .max = 65536, .unit = "octets",
	  .about = "The longest command line; a longer one gets 500 5.5.2. The 512 octets of RFC 5321 and all that the extensions add to MAIL and RCPT are always taken; lines of a login may be as long as RFC 4954 says, 12288." },
	{ .name = "limits/received_fields", .type = CONF_INT, .offset = AT(limits.received_fields), .fallback = "50", .min = 1, .max = 1000, .unit = "",
	  .about = "Received fields of a message; more of them mean a loop and get 554 5.4.6." },
	{ .name = "limits/header_bytes", .type = CONF_INT, .offset = AT(limits.header_bytes), .fallback = "1048576", .min = 4096, .max = 67108864, .unit = "octets",
	  .about = "The largest header section; a larger one gets 552 5.3.4." },
	{ .name = "limits/transactions", .type = CONF_INT, .offset = AT(limits.transactions), .fallback = "10000", .min = 1, .max = 999999, .unit = "",
	  .about = "Transactions of one session; one more gets 421 4.7.0." },
	{ .name = "limits/transactions", .type = CONF_INT, .offset = AT(limits.transactions), .fallback = "10000", .min = 1, .max = 1000000, .unit = "",
	  .about = "Transactions of one session, and so its messages; one more gets 421 4.7.0." },
	{ .name = "limits/recipients_overshoot", .type = CONF_INT, .offset = AT(limits.recipients_overshoot), .fallback = "1000", .min = 0, .max = 100000, .unit = "",
	  .about = "Recipients over the limit that a session may offer between two deliveries; each one more is an error." },
	{ .name = "limits/aborted_bytes", .type = CONF_INT, .offset = AT(limits.aborted_bytes), .fallback = "524288000", .min = 0, .max = 1e12, .unit = "octets",
	  .about = "Mail data that a client (IPv4 address, IPv6 /64) may send and break off before its end, over all its sessions; with more it gets 421 4.7.0 until aborted_forget_s has made it less. 0: no limit." },
	{ .name = "limits/memory_bytes", .type = CONF_INT, .offset = AT(limits.memory_bytes), .fallback = "536870912", .min = 65536, .max = 1e12, .unit = "octets",
	  .about = "Memory for messages in flight, of all workers. From three quarters on bodies go to files at once; above it clients that would need more are not read, and DATA gets 452 4.3.1." },
	{ .name = "timeouts/command_s", .type = CONF_INT, .offset = AT(timeouts.command_s), .fallback = "300", .min = 1, .max = 86400, .unit = "s",
	  .about = "How long a client may take for one command (RFC 5321 4.5.3.2.7: at least 300)." },
	{ .name = "timeouts/data_s", .type = CONF_INT, .offset = AT(timeouts.data_s), .fallback = "300", .min = 1, .max = 86400, .unit = "s",
	  .about = "How long a client may be silent inside DATA." },
	{ .name = "timeouts/min_data_rate", .type = CONF_INT, .offset = AT(timeouts.min_data_rate), .fallback = "500", .min = 1, .max = 1000000, .unit = "octets/s",
	  .about = "The slowest mail data: a message must end within data_s plus its octets at this rate." },
	{ .name = "timeouts/connect_s", .type = CONF_INT, .offset = AT(timeouts.connect_s), .fallback = "30", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long connecting to a backend may take, up to its reply to EHLO." },
	{ .name = "timeouts/backend_reply_s", .type = CONF_INT, .offset = AT(timeouts.backend_reply_s), .fallback = "300", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a backend may take for one reply." },
	{ .name = "timeouts/backend_data_s", .type = CONF_INT, .offset = AT(timeouts.backend_data_s), .fallback = "300", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a backend may take to answer the end of the mail data; SMTP clients wait 600 s." },
	{ .name = "timeouts/probe_s", .type = CONF_INT, .offset = AT(timeouts.probe_s), .fallback = "60", .min = 0, .max = 86400, .unit = "s",
	  .about = "How often each worker asks a backend's server anew for its abilities, where no session has done so meanwhile; 0: at the start only." },
	{ .name = "timeouts/drain_s", .type = CONF_INT, .offset = AT(timeouts.drain_s), .fallback = "30", .min = 0, .max = 3600, .unit = "s",
	  .about = "How long running sessions may go on after a stop." },
	{ .name = "timeouts/soft_error_ms", .type = CONF_INT, .offset = AT(timeouts.soft_error_ms), .fallback = "1000", .min = 0, .max = 60000, .unit = "ms",
	  .about = "The delay of each reply after errors_soft errors." },
	{ .name = "timeouts/aborted_forget_s", .type = CONF_INT, .offset = AT(timeouts.aborted_forget_s), .fallback = "3600", .min = 1, .max = 86400, .unit = "s",
	  .about = "In so long aborted_bytes of mail data that was broken off are forgotten." },
	{ .name = "timeouts/memory_s", .type = CONF_INT, .offset = AT(timeouts.memory_s), .fallback = "30", .min = 0, .max = 3600, .unit = "s",
	  .about = "How long a client waits for memory in the middle of its message, before that is refused with 452 4.3.1." },
	{ .name = "timeouts/session_s", .type = CONF_INT, .offset = AT(timeouts.session_s), .fallback = "86400", .min = 0, .max = 31536000, .unit = "s",
	  .about = "A session older than this begins no new transaction but gets 421 4.3.2. 0: no limit." },
	{ .name = "stress/percent", .type = CONF_INT, .offset = AT(stress.percent), .fallback = "80", .min = 0, .max = 100, .unit = "percent",
	  .about = "So much of limits/sessions, or of the sessions that a worker has descriptors for, is stress: the settings below hold until it is a tenth less. 0: never." },
	{ .name = "stress/command_s", .type = CONF_INT, .offset = AT(stress.command_s), .fallback = "10", .min = 1, .max = 86400, .unit = "s",
	  .about = "timeouts/command_s under stress, where that is more." },
	{ .name = "stress/data_s", .type = CONF_INT, .offset = AT(stress.data_s), .fallback = "10", .min = 1, .max = 86400, .unit = "s",
	  .about = "timeouts/data_s under stress, where that is more." },
	{ .name = "stress/errors_hard", .type = CONF_INT, .offset = AT(stress.errors_hard), .fallback = "1", .min = 1, .max = 1000000, .unit = "",
	  .about = "limits/errors_hard under stress, where that is more." },
	{ .name = "stress/junk_commands", .type = CONF_INT, .offset = AT(stress.junk_commands), .fallback = "1", .min = 1, .max = 1000000, .unit = "",
	  .about = "limits/junk_commands under stress, where that is more." },
	{ .name = "timeouts/proxy_header_s", .type = CONF_INT, .offset = AT(timeouts.proxy_header_s), .fallback = "5", .min = 1, .max = 300, .unit = "s",
	  .about = "How long a load balancer may take for its PROXY header." },
	{ .name = "timeouts/client_name_s", .type = CONF_INT, .offset = AT(timeouts.client_name_s), .fallback = "5", .min = 0, .max = 60, .unit = "s",
	  .about = "How long looking up a client's name may take, from its connection on; the greeting never waits for it. 0: names are not looked up." },
	{ .name = "timeouts/tls_handshake_s", .type = CONF_INT, .offset = AT(timeouts.tls_handshake_s), .fallback = "30", .min = 1, .max = 3600, .unit = "s",
	  .about = "How long a client may take for the TLS handshake." },
	{ .name = "spool/directory", .type = CONF_STR, .offset = AT(spool.directory), .fallback = "/var/tmp", .min = 1, .max = 4000, .unit = "",
	  .about = "Where messages in flight go that are too large for memory; the files are unlinked." },
	{ .name = "spool/memory_bytes", .type = CONF_INT, .offset = AT(spool.memory_bytes), .fallback = "1048576", .min = 0, .max = 1e9, .unit = "octets",
	  .about = "How much of one message stays in memory." },
	{ .name = "bare_newline", .type = CONF_CHOICE, .offset = AT(bare_newline), .fallback = "normalize", .unit = "", .choices = "normalize|reject|note",
	  .about = "A CR or LF that stands alone: normalize makes it a proper line end in mail data and refuses it in a command, reject refuses both with 550 5.5.2, note takes a lone LF for the end of a command too. None of them ever ends a message with it." },
	{ .name = "bare_newline_exceptions", .type = CONF_LIST, .offset = AT(bare_newline_exceptions), .fallback = "[]", .max = 100, .unit = "", .table = &exception_table,
	  .about = "Clients for which another policy than bare_newline holds; the first that fits counts." },
	{ .name = "dns/servers", .type = CONF_STRS, .offset = AT(dns_servers), .fallback = "[]", .max = 8, .unit = "",
	  .about = "Name servers, ADDRESS or ADDRESS:PORT; none stands for those of /etc/resolv.conf." },
	{ .name = "received", .type = CONF_BOOL, .offset = AT(received), .fallback = "true", .unit = "",
	  .about = "Add a Received field, as RFC 5321 4.4 asks of a relay." },
	{ .name = "chunking", .type = CONF_BOOL, .offset = AT(chunking), .fallback = "true", .unit = "",
	  .about = "Offer CHUNKING (BDAT, RFC 3030) to clients; without it BDAT gets 521 5.5.1, and the connection is closed." },
	{ .name = "control", .type = CONF_ENDPOINT, .offset = AT(control), .fallback = "unix:" WEIR_RUNDIR "/proxy.ctl", .unit = "",
	  .about = "The control socket for weir reload and weir status." },
	{ .name = "user", .type = CONF_STR, .offset = AT(user), .fallback = "weir", .max = 64, .unit = "",
	  .about = "The user to become when started as root; ignored otherwise. Empty: stay." },
	{ .name = "workers", .type = CONF_INT, .offset = AT(workers), .fallback = "0", .max = 256, .unit = "",
	  .about = "Worker processes; 0 means one for each core." },
};
/* clang-format on */
const struct conf_table proxy_table = { "proxy", proxy_fields, COUNT(proxy_fields),
	sizeof(struct proxy_settings) };
